"""Attacks on authorisation that other servers fell to; the numbers are those of the project's list."""

import pytest

from tests.wire.daemon import ALICE, BOB, Daemon, parse, texts
from tests.wire.sharing import DENIED, canonical, outcome, policy
from zs3.auth.access import ENFORCED, WRITER


@pytest.fixture(params=[ENFORCED, WRITER])
def daemon(request, tmp_path):
    daemon = Daemon(tmp_path, ownership=request.param)
    yield daemon
    daemon.stop()


@pytest.fixture
def alice(daemon):
    client = daemon.client(ALICE)
    client.put("/photos")
    client.put("/photos/there", b"content")
    return client


@pytest.fixture(params=[BOB, None], ids=["another account", "nobody"])
def attacker(request, daemon, alice):
    return daemon.client(request.param)


def seen(response):
    """What a client can tell two answers apart by."""
    varying = ("x-amz-request-id", "x-amz-id-2", "date", "content-length")
    headers = {name: value for name, value in response.headers.items() if name not in varying}
    return response.status, response.error_code, headers


@pytest.mark.parametrize("method", ["HEAD", "GET", "PUT", "DELETE"])
def test_18_a_condition_tells_nothing_to_who_may_not_read(daemon, alice, attacker, method):
    """CVE-2024-36107: existence and ETag by conditional requests."""
    etag = alice("HEAD", "/photos/there").headers["etag"]
    for headers in (
        {"If-Match": etag},
        {"If-None-Match": etag},
        {"If-None-Match": "*"},
        {"If-Match": "*"},
        {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
        {"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"},
        {"Range": "bytes=1-2"},
        {"Range": "bytes=9999-"},
        {"x-amz-expected-bucket-owner": "0" * 64},
    ):
        there, absent = (attacker(method, f"/photos/{key}", None, headers) for key in ("there", "absent"))
        assert seen(there) == seen(absent)
        assert there.status == 403
        assert there.body == b"" if method == "HEAD" else there.error_code == "AccessDenied"
    assert (daemon.data / "photos" / "there").read_bytes() == b"content"


@pytest.mark.parametrize("query", [{"acl": ""}, {"tagging": ""}, {"partNumber": "1"}, {"versionId": "null"}])
def test_18_nor_does_anything_else_about_an_object(alice, attacker, query):
    there, absent = (attacker("GET", f"/photos/{key}", query) for key in ("there", "absent"))
    assert seen(there) == seen(absent)
    assert outcome(there) == DENIED


@pytest.mark.parametrize(
    "source", ["/photos/there", "photos/there?versionId=null", "/photos/absent", "%2fphotos%2Fthere"]
)
def test_20_what_may_not_be_read_may_not_be_copied(daemon, alice, source):
    """GHSA-mx42, GHSA-3ppv: the source of a copy, and its version, without the right to read it."""
    bob = daemon.client(BOB)
    bob.put("/bobs")
    upload = parse(bob("POST", "/bobs/parts", {"uploads": ""})).findtext("UploadId")
    headers = {"x-amz-copy-source": source}
    assert outcome(bob("PUT", "/bobs/copy", None, headers)) == DENIED
    assert outcome(bob("PUT", "/bobs/parts", {"uploadId": upload, "partNumber": "1"}, headers)) == DENIED
    # The other way round, too.
    bob.put("/bobs/own", b"mine")
    assert outcome(bob("PUT", "/photos/copy", None, {"x-amz-copy-source": "/bobs/own"})) == DENIED
    assert sorted(path.name for path in (daemon.data / "bobs").iterdir() if path.is_file()) == ["own"]
    assert not (daemon.data / "photos" / "copy").exists()
    assert daemon.temporary_files() == []


@pytest.mark.parametrize(
    "source", ["", "/", "?", "photos", "photos/", "//", "/photos/there?", "%", "photos/there?versionId="]
)
def test_20_an_empty_source_is_an_error_and_no_more(daemon, alice, source):
    """CVE-2024-47866."""
    response = alice("PUT", "/photos/copy", None, {"x-amz-copy-source": source})
    assert 400 <= response.status < 500
    assert alice("GET", "/photos/there").body == b"content"
    assert not (daemon.data / "photos" / "copy").exists()


@pytest.mark.parametrize("daemon", [WRITER], indirect=True)
def test_20_the_object_that_is_copied_is_the_one_that_was_judged(daemon, alice, monkeypatch):
    """A private object that takes the place of a public one meanwhile is not copied."""
    bob = daemon.client(BOB)
    bob.put("/bobs")
    alice.put("/photos/there", b"public", {"x-amz-acl": "public-read"})
    copy_object = daemon.store.copy_object

    def replaced(*args, **kwargs):
        alice.put("/photos/there", b"private")
        return copy_object(*args, **kwargs)

    monkeypatch.setattr(daemon.store, "copy_object", replaced)
    response = bob("PUT", "/bobs/copy", None, {"x-amz-copy-source": "/photos/there"})
    assert b"AccessDenied" in response.body
    assert not (daemon.data / "bobs" / "copy").exists()


@pytest.mark.parametrize(
    "query",
    [
        None,
        {"list-type": "2"},
        {"versions": ""},
        {"uploads": ""},
        {"list-type": "2", "prefix": "there"},
        {"max-keys": "0"},
    ],
)
def test_22_nobody_lists_what_is_not_public(alice, attacker, query):
    """CVE-2016-7031."""
    assert outcome(attacker("GET", "/photos", query)) == DENIED


@pytest.mark.parametrize("daemon", [WRITER], indirect=True)
def test_22_who_may_read_or_write_gives_itself_no_more(daemon):
    """CVE-2021-41137, CVE-2021-43858: escalation by what one may do to what one may not."""
    alice, bob = daemon.client(ALICE), daemon.client(BOB)
    alice.put("/photos")
    alice.put("/photos/there", b"content")
    grant = {f"x-amz-grant-{name}": canonical("bob") for name in ("read", "write", "read-acp")}
    assert alice("PUT", "/photos", {"acl": ""}, grant).status == 200
    for path in ("/photos", "/photos/there"):
        for headers, body in (
            ({"x-amz-acl": "public-read-write"}, b""),
            ({}, policy("alice", ("bob", "FULL_CONTROL"))),
        ):
            assert outcome(bob("PUT", path, {"acl": ""}, headers, body)) == DENIED
    for query in ("ownershipControls", "publicAccessBlock"):
        assert outcome(bob("PUT", "/photos", {query: ""}, body=b"<x/>")) == DENIED
        assert outcome(bob("DELETE", "/photos", {query: ""})) == DENIED
    assert outcome(bob("DELETE", "/photos")) == DENIED
    assert outcome(bob("GET", "/photos/there")) == DENIED
    # In its own name it may write, and what it writes is its own.
    bob.put("/photos/own", b"mine", {"x-amz-acl": "public-read"})
    assert texts(parse(bob("GET", "/photos")), "Contents/Owner/DisplayName") == ["bob", "alice"]


@pytest.mark.parametrize("daemon", [WRITER], indirect=True)
def test_18_who_may_write_and_not_list_finds_nothing_out_by_conditions(daemon, alice):
    bob = daemon.client(BOB)
    assert alice("PUT", "/photos", {"acl": ""}, {"x-amz-grant-write": canonical("bob")}).status == 200
    etag = alice("HEAD", "/photos/there").headers["etag"]
    for headers in ({"If-Match": etag}, {"If-Match": '"other"'}, {"If-Match": "*"}, {"x-amz-if-match-size": "7"}):
        for method in ("PUT", "DELETE"):
            there, absent = (bob(method, f"/photos/{key}", None, headers) for key in ("there", "absent"))
            assert seen(there) == seen(absent)
            assert outcome(there) == DENIED
    for key in ("there", "absent"):
        element = f"<Object><Key>{key}</Key><ETag>other</ETag></Object>".encode()
        root = parse(bob.post_xml("/photos", {"delete": ""}, b"<Delete>" + element + b"</Delete>"))
        assert root.findtext("Error/Code") == "AccessDenied"
    assert alice("GET", "/photos/there").body == b"content"
    bob.put("/photos/new", b"dropped")
