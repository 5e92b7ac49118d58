"""What a body is held against: length, hashes, checksums in header and trailer."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterable

import pytest
from botocore.httpchecksum import AwsChunkedWrapper, Sha256Checksum
from hypothesis import given
from hypothesis import strategies as st

from tests.unit import signing
from tests.unit.signing import EMPTY, encode_chunks, wire
from zs3 import checksums
from zs3.auth.payload import Digests, Payload, make_payload
from zs3.auth.wire import Signer
from zs3.checksums import Checksum
from zs3.errors import S3Error

UNSIGNED = "UNSIGNED-PAYLOAD"
STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
SEED = "0" * 64
SIGNER = Signer(timestamp=signing.TIMESTAMP, scope=signing.SCOPE, seed=SEED, key=signing.signing_key())
V2_SIGNER = Signer(timestamp="", scope="", seed="", key=b"")

DATA = b"hello world"
Headers = dict[str, str]


def b64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def value_of(algorithm: str, data: bytes = DATA) -> bytes:
    hasher = checksums.new(algorithm)
    hasher.update(data)
    return hasher.digest()


def make(
    headers: Headers | Iterable[tuple[str, str]] = (),
    payload_hash: str = UNSIGNED,
    *,
    length: int | None = 11,
    **options: object,
) -> Payload:
    pairs = list(headers.items() if isinstance(headers, dict) else headers)
    signer = options.pop("signer", SIGNER)
    request = wire("PUT", "/bucket/key", pairs)
    return make_payload(request, signer, content_length=length, payload_hash=payload_hash, **options)  # type: ignore[arg-type]


def take(payload: Payload, *pieces: bytes) -> tuple[bytes, Digests]:
    out = b"".join(bytes(part) for piece in pieces for part in payload.feed(piece))
    return out, payload.finish()


def refused_before(headers: Headers | Iterable[tuple[str, str]] = (), *args: str, **options: object) -> S3Error:
    """The error that the headers end with."""
    with pytest.raises(S3Error) as caught:
        make(headers, *args, **options)  # type: ignore[arg-type]
    return caught.value


def refused_after(payload: Payload, *pieces: bytes) -> S3Error:
    """The error that the body ends with; it is told by `finish`, or by `feed` where it cannot become right any more."""
    with pytest.raises(S3Error) as caught:
        take(payload, *pieces)
    return caught.value


# --- plain bodies


@given(st.lists(st.binary(max_size=100), max_size=6))
def test_plain_body_passes_unchanged_with_its_md5(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    payload = make({}, hashlib.sha256(data).hexdigest(), length=len(data))
    assert payload.decoded_length == len(data)
    assert take(payload, *pieces) == (data, Digests(hashlib.md5(data).digest(), len(data), None))


def test_body_of_unknown_length_is_taken() -> None:
    payload = make(length=None)
    assert payload.decoded_length is None
    assert take(payload, DATA)[1].size == 11


@pytest.mark.parametrize("sent", [b"", DATA[:-1], DATA + b"!"])
def test_wrong_length_is_told_first(sent: bytes) -> None:
    error = refused_after(make({}, hashlib.sha256(DATA).hexdigest()), sent)
    assert (error.code, error.status) == ("IncompleteBody", 400)
    assert error.fields == {"NumberBytesExpected": "11", "NumberBytesProvided": str(len(sent))}


def test_wrong_sha256_is_told_with_both() -> None:
    error = refused_after(make({}, EMPTY), DATA)
    assert (error.code, error.status) == ("XAmzContentSHA256Mismatch", 400)
    assert error.fields == {
        "ClientComputedContentSHA256": EMPTY,
        "S3ComputedContentSHA256": hashlib.sha256(DATA).hexdigest(),
    }


def test_content_md5_is_verified() -> None:
    right = {"content-md5": b64(hashlib.md5(DATA).digest())}
    assert take(make(right), DATA)[0] == DATA
    error = refused_after(make(right), b"hello World")
    assert (error.code, error.message) == ("BadDigest", "The Content-MD5 you specified did not match what we received.")
    assert error.fields == {
        "ExpectedDigest": right["content-md5"],
        "CalculatedDigest": b64(hashlib.md5(b"hello World").digest()),
    }


@pytest.mark.parametrize("value", ["", "x", "AAAA", b64(bytes(15)), b64(bytes(17)), b64(bytes(16)) + "!", "0" * 32])
def test_content_md5_of_another_form_is_refused(value: str) -> None:
    error = refused_before({"content-md5": value})
    assert (error.code, error.status, error.fields) == ("InvalidDigest", 400, {"Content-MD5": value})


def test_two_content_md5_are_refused() -> None:
    value = b64(bytes(16))
    assert refused_before([("content-md5", value), ("content-md5", value)]).code == "InvalidArgument"


# --- checksums in headers


@pytest.mark.parametrize("algorithm", checksums.ALGORITHMS)
@pytest.mark.parametrize("payload_hash", [UNSIGNED, hashlib.sha256(DATA).hexdigest()])
def test_checksum_in_a_header_is_verified_and_returned(algorithm: str, payload_hash: str) -> None:
    right = value_of(algorithm)
    headers = {f"x-amz-checksum-{algorithm.lower()}": b64(right), "x-amz-sdk-checksum-algorithm": algorithm}
    assert take(make(headers, payload_hash), DATA[:4], DATA[4:])[1].checksum == Checksum(algorithm, right)
    wrong = {f"x-amz-checksum-{algorithm.lower()}": b64(bytes(len(right)))}
    error = refused_after(make(wrong, payload_hash), DATA)
    assert (error.code, error.status) == ("BadDigest", 400)
    assert error.message == f"The {algorithm} you specified did not match the calculated checksum."


@pytest.mark.parametrize("algorithm", checksums.ALGORITHMS)
@pytest.mark.parametrize("value", ["", "x", "AAAA", "AAAAAAAAAAAAAA==", "AAAA AA=", b64(bytes(65))])
def test_checksum_of_another_form_is_refused(algorithm: str, value: str) -> None:
    error = refused_before({f"x-amz-checksum-{algorithm.lower()}": value})
    assert error.code == "InvalidRequest"
    assert error.message == f"Value for x-amz-checksum-{algorithm.lower()} header is invalid."


CRC = ("x-amz-checksum-crc32", b64(bytes(4)))
SHA = ("x-amz-checksum-sha1", b64(bytes(20)))


@pytest.mark.parametrize("headers", [[CRC, SHA], [CRC, CRC]])
def test_several_checksums_are_refused(headers: list[tuple[str, str]]) -> None:
    error = refused_before(headers)
    assert error.code == "InvalidRequest"
    assert error.message.startswith("Expecting a single x-amz-checksum- header.")


def test_checksum_of_an_unknown_algorithm_is_refused() -> None:
    error = refused_before({"x-amz-checksum-sha3": b64(bytes(16))})
    assert error.code == "InvalidRequest"
    assert error.message == "The algorithm type you specified in x-amz-checksum- header is invalid."


def test_headers_that_only_share_the_prefix_are_no_checksums() -> None:
    headers = {
        "x-amz-checksum-algorithm": "CRC32",
        "x-amz-checksum-type": "COMPOSITE",
        "x-amz-checksum-mode": "ENABLED",
    }
    assert take(make(headers), DATA)[1].checksum is None


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([("x-amz-sdk-checksum-algorithm", "CRC32")], "no corresponding x-amz-checksum-*"),
        ([("x-amz-sdk-checksum-algorithm", "MD4"), CRC], "is unsupported"),
        ([("x-amz-sdk-checksum-algorithm", ""), CRC], "is unsupported"),
        ([("x-amz-sdk-checksum-algorithm", "SHA1"), CRC], "Value for x-amz-sdk-checksum-algorithm header is invalid."),
    ],
)
def test_named_algorithm_must_have_its_value(headers: list[tuple[str, str]], reason: str) -> None:
    error = refused_before(headers)
    assert error.code == "InvalidRequest"
    assert reason in error.message


def test_named_algorithm_may_be_in_lower_case() -> None:
    headers = {"x-amz-sdk-checksum-algorithm": "crc32", "x-amz-checksum-crc32": b64(value_of("CRC32"))}
    assert take(make(headers), DATA)[1].checksum == Checksum("CRC32", value_of("CRC32"))


def test_default_algorithm_is_computed_where_none_is_sent() -> None:
    assert take(make(default_algorithm="SHA1"), DATA)[1].checksum == Checksum("SHA1", hashlib.sha1(DATA).digest())
    headers = {"x-amz-checksum-crc32": b64(value_of("CRC32"))}
    assert take(make(headers, default_algorithm="SHA1"), DATA)[1].checksum == Checksum("CRC32", value_of("CRC32"))


@pytest.mark.parametrize("claimed", ["", *checksums.ALGORITHMS])
def test_a_second_checksum_is_computed_beside_the_one_that_is_sent(claimed: str) -> None:
    headers = {f"x-amz-checksum-{claimed.lower()}": b64(value_of(claimed))} if claimed else {}
    digests = take(make(headers, default_algorithm="CRC64NVME", second_algorithm="CRC64NVME"), b"hello ", b"world")[1]
    default = Checksum("CRC64NVME", value_of("CRC64NVME"))
    if claimed in ("", "CRC64NVME"):
        assert (digests.checksum, digests.second) == (default, None)
    else:
        assert (digests.checksum, digests.second) == (Checksum(claimed, value_of(claimed)), default)


def test_checksum_headers_about_something_else_are_left_alone() -> None:
    headers = {
        "x-amz-checksum-crc32": "AAAAAA==-2",
        "x-amz-checksum-sha1": "x",
        "x-amz-sdk-checksum-algorithm": "CRC64NVME",
        "content-md5": b64(hashlib.md5(DATA).digest()),
    }
    assert take(make(headers, checksum_headers=False), DATA)[1].checksum is None
    assert refused_after(make(headers, checksum_headers=False), b"hello World").code == "BadDigest"


# --- aws-chunked


def streaming(**more: str) -> Headers:
    return {"x-amz-decoded-content-length": "11", **{name.replace("_", "-"): value for name, value in more.items()}}


@pytest.mark.parametrize("known", [True, False])
def test_signed_chunks_are_decoded_with_and_without_a_content_length(known: bool) -> None:
    body = encode_chunks([DATA[:4], DATA[4:]], seed=SEED)
    headers = streaming(content_md5=b64(hashlib.md5(DATA).digest()), content_encoding="aws-chunked")
    payload = make(headers, STREAMING, length=len(body) if known else None)
    assert payload.decoded_length == 11
    assert take(payload, body) == (DATA, Digests(hashlib.md5(DATA).digest(), 11, None))


@pytest.mark.parametrize("algorithm", checksums.ALGORITHMS)
@pytest.mark.parametrize("payload_hash", [STREAMING_TRAILER, UNSIGNED_TRAILER])
def test_checksum_in_a_trailer_is_verified_and_returned(algorithm: str, payload_hash: str) -> None:
    name = f"x-amz-checksum-{algorithm.lower()}"
    headers = streaming(x_amz_trailer=name, x_amz_sdk_checksum_algorithm=algorithm)
    seed = SEED if payload_hash == STREAMING_TRAILER else None

    def body(value: str) -> bytes:
        return encode_chunks([DATA], seed=seed, trailers=[(name, value)])

    right = value_of(algorithm)
    payload = make(headers, payload_hash, length=len(body(b64(right))))
    assert take(payload, body(b64(right)))[1].checksum == Checksum(algorithm, right)
    error = refused_after(make(headers, payload_hash, length=None), body(b64(bytes(len(right)))))
    assert (error.code, error.message) == (
        "BadDigest",
        f"The {algorithm} you specified did not match the calculated checksum.",
    )
    error = refused_after(make(headers, payload_hash, length=None), body("x"))
    assert (error.code, error.message) == ("InvalidRequest", f"Value for {name} trailing header is invalid.")


@given(st.binary(max_size=500), st.integers(1, 200))
def test_what_botocore_encodes_is_decoded(data: bytes, chunk_size: int) -> None:
    wrapper = AwsChunkedWrapper(
        io.BytesIO(data), Sha256Checksum, checksum_name="x-amz-checksum-sha256", chunk_size=chunk_size
    )
    headers = {"x-amz-decoded-content-length": str(len(data)), "x-amz-trailer": "x-amz-checksum-sha256"}
    payload = make(headers, UNSIGNED_TRAILER, length=None)
    out, digests = take(payload, wrapper.read())
    assert (out, digests.checksum) == (data, Checksum("SHA256", hashlib.sha256(data).digest()))


def test_wrong_content_length_of_a_chunked_body_is_told() -> None:
    body = encode_chunks([DATA], seed=SEED)
    assert refused_after(make(streaming(), STREAMING, length=len(body) + 1), body).code == "IncompleteBody"


def test_content_md5_of_a_chunked_body_is_of_the_object() -> None:
    body = encode_chunks([DATA], seed=SEED)
    headers = streaming(content_md5=b64(hashlib.md5(body).digest()))
    assert refused_after(make(headers, STREAMING, length=None), body).code == "BadDigest"


def test_bad_chunk_signature_passes_through() -> None:
    body = encode_chunks([DATA], seed="1" * 64)
    assert refused_after(make(streaming(), STREAMING, length=None), body).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("payload_hash", [STREAMING, STREAMING_TRAILER, UNSIGNED_TRAILER])
def test_chunked_body_needs_its_decoded_length(payload_hash: str) -> None:
    error = refused_before({}, payload_hash, length=None)
    assert (error.code, error.status) == ("MissingContentLength", 411)


@pytest.mark.parametrize("value", ["", "-1", "+11", "1_1", "0xb", "1e1", " 1 1", "\u0661", "9" * 19, "9" * 5000])
def test_decoded_length_of_another_form_is_refused(value: str) -> None:
    error = refused_before({"x-amz-decoded-content-length": value}, STREAMING)
    assert (error.code, error.fields["ArgumentName"]) == ("InvalidArgument", "x-amz-decoded-content-length")


def test_two_decoded_lengths_are_refused() -> None:
    name = "x-amz-decoded-content-length"
    assert refused_before([(name, "11"), (name, "12")], STREAMING).code == "InvalidArgument"


def test_framed_body_that_does_not_say_so_is_refused() -> None:
    assert refused_before(streaming(), UNSIGNED, length=200).code == "InvalidRequest"
    assert take(make(streaming(content_encoding="aws-chunked"), UNSIGNED), DATA)[0] == DATA


@pytest.mark.parametrize("payload_hash", [STREAMING, STREAMING_TRAILER])
@pytest.mark.parametrize("signer", [None, V2_SIGNER])
def test_signed_chunks_need_a_request_signed_by_version_4(payload_hash: str, signer: Signer | None) -> None:
    assert refused_before(streaming(), payload_hash, signer=signer).code == "AccessDenied"


def test_unsigned_chunks_need_no_signer() -> None:
    body = encode_chunks([DATA], trailers=[])
    assert take(make(streaming(), UNSIGNED_TRAILER, length=len(body), signer=None), body)[0] == DATA


# --- what may be declared as a trailer


@pytest.mark.parametrize("payload_hash", [UNSIGNED, STREAMING, EMPTY])
def test_trailer_without_a_place_for_it_is_refused(payload_hash: str) -> None:
    error = refused_before(streaming(x_amz_trailer="x-amz-checksum-crc32"), payload_hash)
    assert error.code == "InvalidRequest"
    assert "x-amz-trailer" in error.message


@pytest.mark.parametrize("value", ["", "x-amz-meta-a", "x-amz-checksum-crc32,", "x-amz-checksum-md4", "content-md5"])
def test_trailer_that_is_no_checksum_is_refused(value: str) -> None:
    error = refused_before(streaming(x_amz_trailer=value), UNSIGNED_TRAILER)
    assert error.code == "InvalidRequest"
    assert error.message == "The value specified in the x-amz-trailer header is not supported"


def test_checksums_in_header_and_trailer_together_are_refused() -> None:
    headers = streaming(x_amz_trailer="x-amz-checksum-crc32", x_amz_checksum_sha1=SHA[1])
    assert refused_before(headers, UNSIGNED_TRAILER).message.startswith("Expecting a single x-amz-checksum- header.")
    headers = streaming(x_amz_trailer="x-amz-checksum-crc32, X-Amz-Checksum-SHA1")
    assert refused_before(headers, UNSIGNED_TRAILER).message.startswith("Expecting a single x-amz-checksum- header.")


def test_checksum_header_goes_with_signed_chunks() -> None:
    body = encode_chunks([DATA], seed=SEED)
    headers = streaming(x_amz_checksum_crc32=b64(value_of("CRC32")))
    assert take(make(headers, STREAMING, length=None), body)[1].checksum == Checksum("CRC32", value_of("CRC32"))


@pytest.mark.parametrize("algorithm", ["", *checksums.ALGORITHMS])
@pytest.mark.parametrize("payload_hash", [UNSIGNED, hashlib.sha256(DATA).hexdigest()])
def test_the_slowest_hash_may_be_fed_beside_the_others(algorithm: str, payload_hash: str) -> None:
    def payload() -> Payload:
        return make(payload_hash=payload_hash, default_algorithm=algorithm)

    apart = payload()
    hasher = apart.split()
    assert hasher is not None
    for piece in (DATA[:4], DATA[4:]):
        hasher(piece)
    assert take(apart, DATA[:4], DATA[4:]) == take(payload(), DATA)


def test_what_is_hashed_apart_is_verified_all_the_same() -> None:
    wrong = make(payload_hash=hashlib.sha256(b"other").hexdigest())
    hasher = wrong.split()
    assert hasher is not None
    hasher(DATA)
    assert refused_after(wrong, DATA).code == "XAmzContentSHA256Mismatch"
    wrong = make({"content-md5": b64(hashlib.md5(b"other").digest())})
    hasher = wrong.split()
    assert hasher is not None
    hasher(DATA)
    assert refused_after(wrong, DATA).code == "BadDigest"


def test_of_chunks_nothing_can_be_hashed_apart() -> None:
    assert make(streaming(), STREAMING).split() is None
