"""The credential in a form, held against botocore's signers and the published example."""

import calendar
import time

import pytest

from tests.forms import document, signed
from tests.unit.signing import ACCESS_KEY, SECRET
from zs3.auth.postform import decode_form
from zs3.auth.users import User
from zs3.errors import S3Error

USER = User(ACCESS_KEY, SECRET, "writer", None, "ann")


def fields_of(**options):
    signed_fields = signed({"key": "k"}, document([{"bucket": "b"}, {"key": "k"}]), USER, **options)
    return {name.lower(): value for name, value in signed_fields.items()}


def decode(fields, *, now=None, region=None, sigv2=True):
    return decode_form(fields, now=time.time() if now is None else now, region=region, sigv2=sigv2)


@pytest.mark.parametrize("v2", [False, True])
def test_what_botocore_signs_is_right_for_its_secret_alone(v2):
    fields = fields_of(v2=v2)
    claim = decode(fields)
    kind = "form-v2" if v2 else "form"
    assert (claim.access_key, claim.kind, claim.payload_hash) == (ACCESS_KEY, kind, "UNSIGNED-PAYLOAD")
    assert claim.check(SECRET) is not None
    assert claim.check(SECRET + "x") is None
    assert claim.mismatch().code == "SignatureDoesNotMatch"
    assert claim.mismatch().fields["StringToSign"] == fields["policy"]
    assert SECRET not in str(claim.mismatch().fields)


@pytest.mark.parametrize("v2", [False, True])
def test_another_policy_or_signature_is_wrong(v2):
    fields = fields_of(v2=v2)
    name = "signature" if v2 else "x-amz-signature"
    swapped = ("1" if fields[name][0] == "0" else "0") + fields[name][1:]
    for change in ({"policy": fields["policy"] + "="}, {name: swapped}, {name: fields[name][:-1]}, {name: "ü"}):
        assert decode(fields | change).check(SECRET) is None


def test_the_scope_is_part_of_what_is_signed():
    fields = fields_of()
    changed = fields | {"x-amz-credential": fields["x-amz-credential"].replace("us-east-1", "eu-west-1")}
    assert decode(changed).check(SECRET) is None


def test_the_published_example_is_right():
    """Amazon S3 API Reference, "Example: Browser-Based Upload using HTTP POST (AWS Signature Version 4)"."""
    policy = (
        "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6"
        "ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFj"
        "bCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tl"
        "dC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5"
        "cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZl"
        "ci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoN"
        "CiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVx"
        "dWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAx"
        "NTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9"
    )
    fields = {
        "policy": policy,
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": f"{ACCESS_KEY}/20151229/us-east-1/s3/aws4_request",
        "x-amz-date": "20151229T000000Z",
        "x-amz-signature": "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e",
    }
    claim = decode(fields, now=calendar.timegm((2015, 12, 30, 0, 0, 0)))
    assert claim.check(SECRET) is not None


def test_without_any_part_of_one_there_is_no_credential():
    assert decode({"key": "k", "x-amz-date": "20151229T000000Z", "acl": "private"}) is None


@pytest.mark.parametrize("name", ["x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature", "policy"])
@pytest.mark.parametrize("empty", [False, True])
def test_every_part_of_version_4_must_be_there(name, empty):
    fields = fields_of()
    del fields[name]
    with pytest.raises(S3Error, match="Bucket POST must contain a field named") as caught:
        decode(fields | ({name: ""} if empty else {}))
    assert caught.value.code == "InvalidArgument"
    assert caught.value.fields["ArgumentName"].lower() == name


@pytest.mark.parametrize("name", ["awsaccesskeyid", "signature", "policy"])
def test_every_part_of_version_2_must_be_there(name):
    fields = fields_of(v2=True)
    del fields[name]
    with pytest.raises(S3Error) as caught:
        decode(fields)
    assert (caught.value.code, caught.value.fields["ArgumentName"].lower()) == ("InvalidArgument", name)


def test_a_policy_without_a_signature_is_not_passed_over():
    with pytest.raises(S3Error, match="InvalidArgument"):
        decode({"key": "k", "policy": "e30="})


def test_two_credentials_are_one_too_many():
    with pytest.raises(S3Error, match="Only one auth mechanism"):
        decode(fields_of() | fields_of(v2=True))


def test_version_2_may_be_turned_off():
    with pytest.raises(S3Error, match="Please use AWS4-HMAC-SHA256"):
        decode(fields_of(v2=True), sigv2=False)
    assert decode(fields_of(), sigv2=False).check(SECRET) is not None


def test_a_scope_of_another_region_is_refused_where_there_is_one():
    with pytest.raises(S3Error) as caught:
        decode(fields_of(region="eu-west-1"), region="us-east-1")
    assert (caught.value.code, caught.value.fields["Region"]) == ("AuthorizationQueryParametersError", "us-east-1")
    assert decode(fields_of(region="eu-west-1"), region="eu-west-1").check(SECRET) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"x-amz-algorithm": "AWS4-ECDSA-P256-SHA256"},
        {"x-amz-algorithm": "aws4-hmac-sha256"},
        {"x-amz-credential": "A/B"},
        {"x-amz-credential": "/20260101/us-east-1/s3/aws4_request"},
        {"x-amz-credential": "A/20000101/us-east-1/s3/aws4_request"},
        {"x-amz-credential": "A/today/us-east-1/s3/aws4_request"},
        {"x-amz-date": "2026-01-01T00:00:00Z"},
        {"x-amz-date": "20260101"},
    ],
)
def test_a_malformed_credential_is_refused(change):
    with pytest.raises(S3Error) as caught:
        decode(fields_of() | change)
    assert caught.value.code in ("InvalidArgument", "AuthorizationQueryParametersError")


@pytest.mark.parametrize("service", ["ec2/aws4_request", "s3/aws5_request"])
def test_a_scope_of_another_service_is_refused(service):
    fields = fields_of()
    fields["x-amz-credential"] = fields["x-amz-credential"].replace("s3/aws4_request", service)
    with pytest.raises(S3Error, match="AuthorizationQueryParametersError"):
        decode(fields)


def test_what_was_signed_in_the_future_is_not_valid_yet():
    fields = fields_of()
    assert decode(fields, now=time.time() - 14 * 60) is not None
    with pytest.raises(S3Error, match="AccessDenied: Request is not valid yet"):
        decode(fields, now=time.time() - 16 * 60)


def test_how_long_ago_it_was_signed_is_for_the_policy_to_judge():
    assert decode(fields_of(), now=time.time() + 30 * 24 * 3600).check(SECRET) is not None
