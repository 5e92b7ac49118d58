"""The aws-chunked decoder: the published examples, any cut, and every way to be wrong."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit import signing
from tests.unit.signing import encode_chunks
from zs3.auth.awschunked import MAX_HEADER, MAX_TRAILERS, ChunkedDecoder
from zs3.auth.wire import Signer
from zs3.errors import S3Error

SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
TRAILER = "x-amz-checksum-crc32c"
TRAILERS = [(TRAILER, "sOO8/Q==")]


def signer(seed: str = SEED) -> Signer:
    return Signer(timestamp=signing.TIMESTAMP, scope=signing.SCOPE, seed=seed, key=signing.signing_key())


def decoder(length: int, *, signed: bool = True, trailers: list[str] | None = None) -> ChunkedDecoder:
    return ChunkedDecoder(length, signer=signer() if signed else None, trailers=trailers)


def decode(target: ChunkedDecoder, *pieces: bytes) -> tuple[bytes, dict[str, str]]:
    out = b"".join(bytes(part) for piece in pieces for part in target.feed(piece))
    return out, target.finish()


def refused(target: ChunkedDecoder, *pieces: bytes) -> S3Error:
    with pytest.raises(S3Error) as caught:
        decode(target, *pieces)
    return caught.value


CHUNKS = [b"a" * 65536, b"a" * 1024]


def test_example_of_the_documentation() -> None:
    body = encode_chunks(CHUNKS, seed=SEED)
    for signature in (
        b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n",
        b"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n",
        b"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n",
    ):
        assert signature in body
    assert decode(decoder(66560), body) == (b"a" * 66560, {})


def test_example_of_the_documentation_with_a_trailer() -> None:
    seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
    body = encode_chunks(CHUNKS, seed=seed, trailers=TRAILERS)
    for signature in (
        b"10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n",
        b"400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n",
        b"0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n",
        b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n",
    ):
        assert signature in body
    target = ChunkedDecoder(66560, signer=signer(seed), trailers=[TRAILER])
    assert decode(target, body) == (b"a" * 66560, dict(TRAILERS))


# --- any cut

BODIES = st.lists(st.binary(min_size=1, max_size=40), max_size=5)


@st.composite
def cut_bodies(draw: st.DrawFn) -> tuple[list[bytes], bool, bool, bytes, list[bytes]]:
    chunks, signed, trailers = draw(BODIES), draw(st.booleans()), draw(st.booleans())
    body = encode_chunks(chunks, seed=SEED if signed else None, trailers=TRAILERS if trailers else None)
    if draw(st.booleans()):  # damage it: a byte changed, inserted or lost, an end cut off or added
        position = draw(st.integers(0, len(body)))
        lost = draw(st.sampled_from([0, 1, 2, len(body)]))
        body = (
            body[:position]
            + draw(st.binary(max_size=2) | st.sampled_from([b"\r\n", b"\n", b"0"]))
            + body[position + lost :]
        )
    positions = sorted(draw(st.lists(st.integers(0, len(body)), max_size=12)))
    cuts = zip([0, *positions], [*positions, len(body)], strict=True)
    return chunks, signed, trailers, body, [body[start:end] for start, end in cuts]


def outcome(target: ChunkedDecoder, pieces: list[bytes]) -> tuple[object, ...]:
    """What a caller sees in the end: the bytes, or the error."""
    try:
        return decode(target, *pieces)
    except S3Error as error:
        return error.code, error.message


@given(cut_bodies())
def test_a_body_decodes_alike_however_it_is_cut(case: tuple[list[bytes], bool, bool, bytes, list[bytes]]) -> None:
    chunks, signed, trailers, body, pieces = case
    length = sum(map(len, chunks))
    names = [TRAILER] if trailers else None
    whole = outcome(decoder(length, signed=signed, trailers=names), [body])
    assert outcome(decoder(length, signed=signed, trailers=names), pieces) == whole
    single = [body[index : index + 1] for index in range(len(body))]
    assert outcome(decoder(length, signed=signed, trailers=names), single) == whole
    if body == encode_chunks(chunks, seed=SEED if signed else None, trailers=TRAILERS if trailers else None):
        assert whole == (b"".join(chunks), dict(TRAILERS) if trailers else {})


@given(BODIES, st.booleans(), st.data())
@example([b"ab", b"c"], True, None)
@example([], False, None)
def test_no_damaged_signed_body_passes_as_another(
    chunks: list[bytes], trailers: bool, data: st.DataObject | None
) -> None:
    body = encode_chunks(chunks, seed=SEED, trailers=TRAILERS if trailers else None)
    index = data.draw(st.integers(0, len(body) - 1)) if data else len(body) // 2
    damaged = body[:index] + bytes([body[index] ^ 1]) + body[index + 1 :]
    target = decoder(sum(map(len, chunks)), trailers=[TRAILER] if trailers else None)
    result = outcome(target, [damaged])
    # the case of hex digits and of a trailer's name is no part of what is signed, but a bit changes no case
    assert result[0] in ("IncompleteBody", "SignatureDoesNotMatch", "MalformedTrailerError"), result


def test_slices_are_handed_on_without_copying() -> None:
    data = encode_chunks([b"a" * 1000])
    (piece,) = decoder(1000, signed=False).feed(data)
    assert isinstance(piece, memoryview)
    assert piece.obj is data


def test_a_large_chunk_takes_no_memory() -> None:
    size = 64 << 20
    target = decoder(size, signed=False)
    target.feed(f"{size:x}\r\n".encode())
    block = bytes(1 << 16)
    tracemalloc.start()
    try:
        for _ in range(size // len(block)):
            target.feed(block)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert target.feed(b"\r\n0\r\n\r\n") == []
    assert target.finish() == {}
    assert peak < 1 << 16


def test_empty_body() -> None:
    assert decode(decoder(0), encode_chunks([], seed=SEED)) == (b"", {})
    assert decode(decoder(0, signed=False), b"0\r\n\r\n") == (b"", {})


# --- chunk headers


@pytest.mark.parametrize(
    "header",
    [b"", b"0x1", b"+1", b"-1", b" 1", b"1 ", b"1_0", b"g", b"1;", b"1;a=b", b"\xd9\xa1", b"0" * 17, b"1\r", b"1\n"],
)
def test_chunk_size_of_another_form_is_refused(header: bytes) -> None:
    error = refused(decoder(1, signed=False), header + b"\r\na\r\n0\r\n\r\n")
    assert (error.code, error.status) == ("IncompleteBody", 400)


@pytest.mark.parametrize(
    "header",
    [
        b"1",
        b"1;chunk-signature=",
        b"1;chunk-signature=" + b"0" * 63,
        b"1;chunk-signature=" + b"G" * 64,
        b"1;signature=x",
    ],
)
def test_signed_chunk_without_a_signature_is_refused(header: bytes) -> None:
    assert refused(decoder(1), header + b"\r\na\r\n").code == "IncompleteBody"


@pytest.mark.parametrize("size", [b"2", b"f" * 16, b"0000000000000002"])
def test_more_bytes_than_declared_are_refused_before_they_come(size: bytes) -> None:
    target = decoder(1, signed=False)
    with pytest.raises(S3Error, match="x-amz-decoded-content-length") as caught:
        target.feed(size + b"\r\n")
    assert caught.value.code == "IncompleteBody"


def test_fewer_bytes_than_declared_are_refused() -> None:
    error = refused(decoder(3), encode_chunks([b"ab"], seed=SEED))
    assert error.code == "IncompleteBody"
    assert "x-amz-decoded-content-length" in error.message


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("trailers", [None, TRAILERS])
def test_truncated_body_is_refused_at_every_length(signed: bool, trailers: list[tuple[str, str]] | None) -> None:
    body = encode_chunks([b"abc", b"d"], seed=SEED if signed else None, trailers=trailers)
    for end in range(len(body)):
        target = decoder(4, signed=signed, trailers=[TRAILER] if trailers else None)
        assert refused(target, body[:end]).code == "IncompleteBody"


@pytest.mark.parametrize("after", [b"x", b"\n", b"\r", b"\r\n\r\n", b"\r\nx", b"0\r\n\r\n", b"1\r\na\r\n"])
def test_bytes_behind_the_end_are_refused(after: bytes) -> None:
    assert refused(decoder(2, signed=False), encode_chunks([b"ab"]) + after).code == "IncompleteBody"


def test_one_empty_line_behind_the_end_is_tolerated() -> None:
    assert decode(decoder(2, signed=False), encode_chunks([b"ab"]) + b"\r\n") == (b"ab", {})


@pytest.mark.parametrize("between", [b"", b"\n", b"\r\r\n", b"ab", b"\n\r"])
def test_chunk_data_must_be_followed_by_an_empty_line(between: bytes) -> None:
    assert refused(decoder(2, signed=False), b"2\r\nab" + between + b"0\r\n\r\n").code == "IncompleteBody"


def test_endless_chunk_header_is_cut_off() -> None:
    target = decoder(1, signed=False)
    target.feed(b"0" * (MAX_HEADER - 1))
    with pytest.raises(S3Error) as caught:
        target.feed(b"0")
    assert caught.value.code == "IncompleteBody"


def test_a_decoder_that_failed_stays_failed() -> None:
    target = decoder(2, signed=False)
    with pytest.raises(S3Error):
        target.feed(encode_chunks([b"ab"]) + b"x\n")
    with pytest.raises(S3Error):
        target.finish()
    with pytest.raises(S3Error):
        target.feed(b"\r\n")


# --- signatures


@pytest.mark.parametrize("number", [0, 1, 2])
def test_wrong_signature_of_any_chunk_is_refused_the_last_one_too(number: int) -> None:
    body = encode_chunks([b"ab", b"cd"], seed=SEED)
    start = [index for index in range(len(body)) if body.startswith(b"chunk-signature=", index)][number] + 16
    damaged = body[:start] + (b"0" if body[start : start + 1] != b"0" else b"1") + body[start + 1 :]
    error = refused(decoder(4), damaged)
    assert (error.code, error.status) == ("SignatureDoesNotMatch", 403)


@pytest.mark.parametrize("over", [{"secret": "other"}, {"timestamp": "20130524T000001Z"}, {"seed": "0" * 64}])
def test_chunks_signed_for_another_request_are_refused(over: dict[str, str]) -> None:
    body = encode_chunks([b"ab"], **{"seed": SEED, **over})  # type: ignore[arg-type]
    assert refused(decoder(2), body).code == "SignatureDoesNotMatch"


def test_chunks_cannot_be_swapped_or_left_out() -> None:
    body = encode_chunks([b"ab", b"cd"], seed=SEED)
    line = len(b"2;chunk-signature=") + 64 + len(b"\r\nab\r\n")
    first, second, rest = body[:line], body[line : 2 * line], body[2 * line :]
    assert decode(decoder(4), first, second, rest) == (b"abcd", {})
    assert refused(decoder(4), second, first, rest).code == "SignatureDoesNotMatch"
    assert refused(decoder(2), first, rest).code == "SignatureDoesNotMatch"


def test_a_bad_signature_is_told_at_the_end_of_its_chunk() -> None:
    target = decoder(4)
    with pytest.raises(S3Error) as caught:
        target.feed(b"2;chunk-signature=" + b"0" * 64 + b"\r\nab")
    assert caught.value.code == "SignatureDoesNotMatch"


# --- trailers

END = encode_chunks([b"ab"], trailers=[]).removesuffix(b"\r\n")


@pytest.mark.parametrize(
    "block",
    [
        b"x-amz-checksum-crc32c:sOO8/Q==\r\n\r\n",
        b"X-Amz-Checksum-CRC32C: sOO8/Q== \r\n\r\n",
        b"x-amz-checksum-crc32c:sOO8/Q==\n\r\n\r\n",  # minio-go
        b"x-amz-checksum-crc32c:sOO8/Q==\n\n",
    ],
)
def test_trailers_as_clients_spell_them(block: bytes) -> None:
    assert decode(decoder(2, signed=False, trailers=[TRAILER]), END + block) == (b"ab", dict(TRAILERS))


def test_signed_trailers_as_minio_go_spells_them() -> None:
    body = encode_chunks([b"ab"], seed=SEED, trailers=TRAILERS)
    spelled = body.replace(b"sOO8/Q==\r\n", b"sOO8/Q==\n\r\n")
    assert spelled != body
    assert decode(decoder(2, trailers=[TRAILER]), spelled) == (b"ab", dict(TRAILERS))


@pytest.mark.parametrize(
    "block",
    [
        b"\r\n",  # declared, but missing
        b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n",  # not declared
        b"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-meta-a:b\r\n\r\n",
        b"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-checksum-crc32c:sOO8/Q==\r\n\r\n",
        b"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:" + b"0" * 64 + b"\r\n\r\n",  # not signed
        b":sOO8/Q==\r\n\r\n",
        b"x-amz-checksum-crc32c\r\n\r\n",
        b"x-amz-checksum-crc32c :sOO8/Q==\r\n\r\n",
        b" x-amz-checksum-crc32c:sOO8/Q==\r\n\r\n",
        b"x-amz-checksum-crc32c:\xff\r\n\r\n",
        b"\xff:sOO8/Q==\r\n\r\n",
        b"../../etc/passwd:x\r\n\r\n",
    ],
)
def test_malformed_trailers_are_refused(block: bytes) -> None:
    error = refused(decoder(2, signed=False, trailers=[TRAILER]), END + block)
    assert (error.code, error.status) == ("MalformedTrailerError", 400)


def test_trailers_are_bounded() -> None:
    target = decoder(2, signed=False, trailers=[TRAILER])
    target.feed(END)
    with pytest.raises(S3Error) as caught:
        target.feed(b"x-amz-checksum-crc32c:" + b"a" * MAX_TRAILERS)
    assert caught.value.code == "MalformedTrailerError"
    target = decoder(2, signed=False, trailers=[TRAILER])
    long = b"x-amz-checksum-crc32c:" + b"a" * (MAX_TRAILERS - 30) + b"\r\n"
    target.feed(END + long)
    with pytest.raises(S3Error) as caught:
        target.feed(b"x-amz-ch")
    assert caught.value.code == "MalformedTrailerError"


def test_a_form_without_trailers_takes_none() -> None:
    assert refused(decoder(2, signed=False), END + b"x-amz-checksum-crc32c:sOO8/Q==\r\n\r\n").code == "IncompleteBody"


def test_trailer_with_a_wrong_signature_is_refused() -> None:
    body = encode_chunks([b"ab"], seed=SEED, trailers=TRAILERS)
    changed = body.replace(b"sOO8/Q==", b"sOO8/R==")
    error = refused(decoder(2, trailers=[TRAILER]), changed)
    assert (error.code, error.status) == ("SignatureDoesNotMatch", 403)


def test_signed_trailers_need_their_signature() -> None:
    body = encode_chunks([b"ab"], seed=SEED, trailers=TRAILERS)
    start = body.index(b"x-amz-trailer-signature")
    assert refused(decoder(2, trailers=[TRAILER]), body[:start] + b"\r\n").code == "IncompleteBody"
    assert refused(decoder(2, trailers=[TRAILER]), body[:start] + b"\r\n\r\n").code == "MalformedTrailerError"


def test_nothing_follows_the_signature_of_the_trailers() -> None:
    body = encode_chunks([b"ab"], seed=SEED, trailers=TRAILERS).removesuffix(b"\r\n")
    signature = body[body.index(b"x-amz-trailer-signature") :]
    for more in (signature, b"x-amz-checksum-sha1:a\r\n"):
        assert refused(decoder(2, trailers=[TRAILER]), body + more + b"\r\n").code == "MalformedTrailerError"


def test_trailers_must_not_come_behind_the_gap_before_the_signature() -> None:
    body = encode_chunks([b"ab"], seed=SEED, trailers=TRAILERS)
    changed = body.replace(b"x-amz-checksum-crc32c:", b"\r\nx-amz-checksum-crc32c:")
    assert refused(decoder(2, trailers=[TRAILER]), changed).code == "MalformedTrailerError"


def test_no_trailers_may_be_declared() -> None:
    assert decode(decoder(2, trailers=[]), encode_chunks([b"ab"], seed=SEED, trailers=[])) == (b"ab", {})
    assert decode(decoder(2, signed=False, trailers=[]), END + b"\r\n") == (b"ab", {})
