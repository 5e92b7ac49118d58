"""The short cut of the signature: it never says yes where the long way says no."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.signing import ACCESS_KEY, NOW, SECRET, sign_header, wire
from zs3.auth import usual
from zs3.auth.credentials import UsersChecker
from zs3.auth.sigv4 import MAX_SKEW_S, Wire, decode_claim
from zs3.auth.users import User
from zs3.auth.usual import signer_of
from zs3.errors import S3Error

USER = User(ACCESS_KEY, SECRET, "admin", None, "ann")
USERS = UsersChecker({ACCESS_KEY: USER})
HOST = "s3.example:9000"

Fields = tuple[tuple[bytes, bytes], ...]


def joined(fields: Fields) -> Mapping[bytes, bytes]:
    """The headers by name as `parse_head` gives them."""
    values: dict[bytes, bytes] = {}
    for name, value in fields:
        values[name] = values[name] + b"," + value if name in values else value
    return values


def short(request: Wire, *, now: float = NOW, region: str | None = None) -> User | None:
    method = request.method.encode()
    return signer_of(method, request.target, joined(request.headers), USERS, now=now, region=region)


def long(request: Wire, *, now: float = NOW, region: str | None = None) -> User | None:
    """What the guard and its checker make of it."""
    try:
        claim = decode_claim(request, now=now, region=region)
    except S3Error:
        return None
    if claim is None or claim.access_key != ACCESS_KEY or claim.check(SECRET) is None:
        return None
    return USER


def signed(method: str = "GET", path: str = "/bucket/key", headers: dict[str, str] | None = None, **over: str) -> Wire:
    return wire(method, path, sign_header(method, path, headers={"host": HOST, **(headers or {})}, **over))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/bucket/key", "/bucket/a/b~c_d-e.f//g"])
def test_usual_requests_are_recognised(method: str, path: str) -> None:
    request = signed(method, path, {"range": "bytes=0-1", "x-amz-checksum-mode": "ENABLED", "user-agent": "x/1 y"})
    assert short(request) is USER
    assert long(request) is USER


def test_an_unsigned_payload_is_as_good_as_an_empty_one() -> None:
    assert short(signed(payload="UNSIGNED-PAYLOAD")) is USER
    assert short(signed(payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER")) is None


@pytest.mark.parametrize("late", [-1, 1])
def test_a_request_has_its_time(late: int) -> None:
    assert short(signed(), now=NOW + late * MAX_SKEW_S) is USER
    assert short(signed(), now=NOW + late * (MAX_SKEW_S + 1)) is None


def test_the_region_must_be_the_one_there_is() -> None:
    assert short(signed(), region="us-east-1") is USER
    assert short(signed(), region="eu-west-1") is None


def test_neither_another_key_nor_another_secret_will_do() -> None:
    assert short(signed(access_key="SOMEBODYELSE")) is None
    assert short(signed(secret="another/secret")) is None
    # Not even the secret that stands for the unknown.
    nobody = USERS.secret_of(None)
    assert short(signed(access_key="SOMEBODYELSE", secret=nobody)) is None


def test_nothing_is_remembered_of_more_names_than_headers() -> None:
    """Whoever asks without a secret must not fill the memory."""
    before = usual._is_covered.cache_info().currsize
    request = signed()
    fields = dict(request.headers)
    names = b";".join(b"%d" % number for number in range(2000))
    fields[b"authorization"] = re.sub(rb"SignedHeaders=[^,]*", b"SignedHeaders=" + names, fields[b"authorization"])
    assert short(Wire(request.method, request.target, tuple(fields.items()))) is None
    assert usual._is_covered.cache_info().currsize == before


NAMES = (b"host", b"x-amz-date", b"x-amz-content-sha256", b"authorization", b"range", b"x-amz-meta-a", b"user-agent")
TEXT = st.text(string.ascii_letters + string.digits + " \t,;=/", max_size=8).map(lambda text: text.strip().encode())


@st.composite
def changed(draw: st.DrawFn) -> Wire:
    """A request that was signed, and then perhaps changed by somebody else."""
    headers = draw(st.dictionaries(st.sampled_from(["range", "x-amz-meta-a"]), st.just("a b")))
    request = signed(draw(st.sampled_from(["GET", "HEAD"])), headers=headers)
    fields, target = list(request.headers), request.target
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(fields) - 1))
        name, value = fields[at]
        match draw(st.sampled_from(["drop", "repeat", "add", "replace", "cut", "spaces", "swap", "target"])):
            case "drop" if len(fields) > 1:
                del fields[at]
            case "repeat":
                fields.append((name, value))
            case "add":
                fields.append((draw(st.sampled_from(NAMES)), draw(TEXT)))
            case "replace":
                fields[at] = (name, draw(TEXT))
            case "cut":
                fields[at] = (name, value[: draw(st.integers(0, len(value)))].strip())
            case "spaces":
                fields[at] = (name, value.replace(b" ", draw(st.sampled_from([b"  ", b"\t", b""]))))
            case "swap":
                fields[at] = (name, value.swapcase())
            case "target":
                target = draw(st.sampled_from([b"/bucket/other", b"/bucket/key/"]))
    return Wire(request.method, target, tuple(fields))


@given(changed())
def test_it_never_says_yes_where_the_long_way_says_no(asked: Wire) -> None:
    if short(asked) is not None:
        assert long(asked) is USER
