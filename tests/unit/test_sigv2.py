"""Signature Version 2 in the query."""

from __future__ import annotations

import pytest

from tests.unit.signing import ACCESS_KEY, EMPTY, HOST, SECRET, presign_v2, wire
from zs3.auth.sigv4 import Claim, Wire, decode_claim
from zs3.errors import S3Error

NOW = 1175139000.0
EXPIRES = "1175139620"


def decode(request: Wire, **options: object) -> Claim:
    claim = decode_claim(request, **{"now": NOW, **options})  # type: ignore[arg-type]
    assert claim is not None
    return claim


def accepted(target: str, headers: dict[str, str] | None = None, method: str = "GET") -> bool:
    return decode(wire(method, target, {"host": HOST, **(headers or {})})).check(SECRET) is not None


def refused(target: str, headers: dict[str, str] | None = None, **options: object) -> S3Error:
    with pytest.raises(S3Error) as caught:
        decode(wire("GET", target, {"host": HOST, **(headers or {})}), **options)
    return caught.value


def test_example_of_the_documentation_is_accepted_for_its_bucket() -> None:
    target = (
        "/photos/puppy.jpg?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D"
        "&Expires=1175139620"
    )
    request = wire("GET", target, {"host": "johnsmith.s3.amazonaws.com"})
    claim = decode(request, bucket_from_host="johnsmith")
    assert (claim.kind, claim.access_key, claim.payload_hash) == ("query-v2", ACCESS_KEY, "UNSIGNED-PAYLOAD")
    signer = claim.check(SECRET)
    assert signer is not None
    assert signer.scope == ""
    assert claim.check("other") is None
    assert decode(request).check(SECRET) is None
    assert decode(request, bucket_from_host="other").check(SECRET) is None


def test_it_can_be_turned_off() -> None:
    error = refused(presign_v2(expires=EXPIRES), sigv2=False)
    assert error.code == "InvalidRequest"
    assert error.message.endswith("Please use AWS4-HMAC-SHA256.")


def test_sub_resources_are_signed_decoded_and_sorted() -> None:
    resource = "/bucket/key?partNumber=2&response-content-disposition=attachment; a&uploadId=x/y"
    query = "uploadId=x%2Fy&prefix=free&response-content-disposition=attachment%3B+a&partNumber=2"
    assert accepted(presign_v2(expires=EXPIRES, resource=resource, query=query))
    assert accepted(presign_v2(expires=EXPIRES, resource="/bucket/key?uploads", query="uploads"))
    assert not accepted(presign_v2(expires=EXPIRES, query="uploads"))


@pytest.mark.parametrize("name", ["acl", "tagging", "versionId=3", "attributes", "retention", "legal-hold", "policy"])
def test_url_of_an_object_is_none_of_its_sub_resources(name: str) -> None:
    assert accepted(presign_v2(expires=EXPIRES))
    assert not accepted(presign_v2(expires=EXPIRES) + f"&{name}")


def test_signed_parameters_cannot_be_folded_into_one() -> None:
    resource = "/bucket/key?partNumber=1&uploadId=x"
    assert accepted(presign_v2("PUT", expires=EXPIRES, resource=resource, query="partNumber=1&uploadId=x"), None, "PUT")
    error = refused(presign_v2(expires=EXPIRES, resource=resource, query="partNumber=1%26uploadId=x"))
    assert error.code == "AccessDenied"
    disposition = "response-content-disposition=a&b=c"
    assert accepted(
        presign_v2(
            expires=EXPIRES, resource=f"/bucket/key?{disposition}", query="response-content-disposition=a%26b%3Dc"
        )
    )


def test_amz_headers_are_signed() -> None:
    target = presign_v2(expires=EXPIRES, amz="x-amz-acl:private\nx-amz-meta-a:1,2\n")
    pairs = [("host", HOST), ("X-Amz-Meta-A", "1"), ("x-amz-meta-a", "2"), ("X-Amz-Acl", "private")]
    assert decode(wire("GET", target, pairs)).check(SECRET) is not None
    assert decode(wire("GET", target, pairs[:3])).check(SECRET) is None
    assert not accepted(presign_v2(expires=EXPIRES), {"x-amz-copy-source": "b/k"})


def test_payload_hash_that_is_sent_is_signed_and_counts() -> None:
    target = presign_v2(expires=EXPIRES, amz=f"x-amz-content-sha256:{EMPTY}\n")
    claim = decode(wire("GET", target, {"host": HOST, "x-amz-content-sha256": EMPTY}))
    assert (claim.payload_hash, claim.check(SECRET) is not None) == (EMPTY, True)
    assert refused(target, {"x-amz-content-sha256": "x"}).code == "InvalidArgument"


def test_content_type_may_stand_in_the_url_instead_of_a_header() -> None:
    target = presign_v2(expires=EXPIRES, content_type="text/plain")
    assert accepted(target, {"content-type": "text/plain"})
    assert accepted(f"{target}&content-type=text%2Fplain")
    assert not accepted(f"{target}&content-type=text%2Fplain", {"content-type": "text/html"})
    assert not accepted(target)
    assert refused(f"{target}&content-type=a%0Ab").code == "AccessDenied"


def test_path_may_be_signed_as_it_is_sent_or_in_its_canonical_spelling() -> None:
    for signed in ("/bucket/a(b)", "/bucket/a%28b%29"):
        target = presign_v2(path="/bucket/a(b)", resource=signed, expires=EXPIRES)
        assert accepted(target)
    assert not accepted(presign_v2(path="/bucket/a(b)", resource="/bucket/a(c)", expires=EXPIRES))


def test_bucket_may_be_signed_with_a_slash_that_is_not_sent() -> None:
    assert accepted(presign_v2(path="/bucket", resource="/bucket/", expires=EXPIRES))
    assert accepted(presign_v2(path="/bucket", resource="/bucket/?acl", query="acl", expires=EXPIRES))
    assert not accepted(presign_v2(path="/bucket/key", resource="/bucket/key/", expires=EXPIRES))


def test_method_counts() -> None:
    assert not accepted(presign_v2(expires=EXPIRES), method="HEAD")


def test_it_expires() -> None:
    assert decode(wire("GET", presign_v2(expires=EXPIRES), {"host": HOST}), now=float(EXPIRES)).check(SECRET)
    error = refused(presign_v2(expires=EXPIRES), now=float(EXPIRES) + 1)
    assert (error.code, error.message) == ("AccessDenied", "Request has expired")
    assert error.fields == {"Expires": "2007-03-29T03:40:20Z", "ServerTime": "2007-03-29T03:40:21Z"}


@pytest.mark.parametrize("expires", ["", "-1", "1e10", "1_0", "%2B5", "5.0", "%D9%A3", "9" * 5000], ids=lambda v: v[:9])
def test_expiry_of_another_form_is_refused(expires: str) -> None:
    error = refused(presign_v2(expires=expires))
    assert (error.code, error.status) == ("AccessDenied", 403)
    assert error.message.startswith("Invalid date (should be seconds since epoch): ")


@pytest.mark.parametrize("name", ["AWSAccessKeyId", "Signature", "Expires"])
def test_parameter_must_come_exactly_once(name: str) -> None:
    path, _, query = presign_v2(expires=EXPIRES).partition("?")
    mine = next(p for p in query.split("&") if p.startswith(f"{name}="))
    without = "&".join(p for p in query.split("&") if p != mine)
    for changed in (without, f"{query}&{mine}"):
        assert refused(f"{path}?{changed}").code == "AccessDenied"
    # Expires alone is nobody's credential
    assert decode_claim(wire("GET", f"{path}?Expires=1", {"host": HOST}), now=NOW) is None


def test_access_key_that_no_header_could_hold_is_refused() -> None:
    target = presign_v2(expires=EXPIRES).replace(ACCESS_KEY, "a%0Ab")
    assert refused(target).code == "AccessDenied"


def test_mismatch_tells_what_was_signed() -> None:
    claim = decode(wire("GET", presign_v2(expires=EXPIRES, resource="/other"), {"host": HOST}))
    error = claim.mismatch()
    assert (error.code, error.status) == ("SignatureDoesNotMatch", 403)
    assert error.fields["AWSAccessKeyId"] == ACCESS_KEY
    assert error.fields["StringToSign"] == f"GET\n\n\n{EXPIRES}\n/bucket/key"
    assert "CanonicalRequest" not in error.fields
