"""What the server tells, writes and leaves where others see it; the numbers are those of the project's list."""

import os
import re
import stat
from pathlib import Path

import pytest

import zs3
from tests.security.test_signatures import presigned, send, sign
from tests.wire.daemon import ADMIN, ALICE, HOST, USERS, Daemon


@pytest.fixture
def there(client):
    client.put("/photos")
    client.put("/photos/there", b"content")
    return "/photos/there"


@pytest.mark.parametrize(
    "target",
    [
        "/metrics",
        "/minio/v2/metrics/cluster",
        "/minio/health/cluster?verify",
        "/minio/bootstrap/v1/verify",
        "/debug/pprof/",
        "/debug/vars",
        "/profile",
        "/rustfs/rpc/read_file",
        "/_localstack/health",
        "/moto-api/",
        "/.well-known/security.txt",
        "/zs3",
        "/console",
    ],
)
def test_41_the_port_of_s3_serves_nothing_but_s3(daemon, there, nobody, target):
    """RustFS GHSA-jqmc, GHSA-f5cv: profiles and metrics for everybody; CVE-2023-28432: the environment."""
    for method in ("GET", "POST"):
        response = send(daemon, method, target, {"Host": HOST})
        assert response.status in (400, 403, 404, 405, 501), response
        for secret in (ADMIN.secret_key, str(daemon.data), os.environ.get("PATH", "-"), "photos"):
            assert secret.encode() not in response.body


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/x", "http://169.254.169.254/latest/meta-data/", "//127.0.0.1/x", "file:///etc/passwd"]
)
def test_41_no_request_makes_the_server_ask_another(daemon, client, there, url, monkeypatch):
    """CVE-2021-21287, CVE-2025-65200, SeaweedFS GHSA-87fv."""

    def connect(*_):
        pytest.fail("a connection to somewhere else")

    monkeypatch.setattr("socket.socket.connect", connect)
    monkeypatch.setattr("socket.getaddrinfo", connect)
    for response in (
        client("PUT", "/photos/copy", headers={"x-amz-copy-source": url}),
        client(
            "PUT",
            "/photos/a",
            headers={"x-amz-website-redirect-location": url, "referer": url, "x-forwarded-host": url},
        ),
        client("GET", there, {"url": url, "endpoint": url, "redirect": url}),
        send(daemon, "GET", there, {**sign(daemon), "x-forwarded-for": url, "forwarded": f"host={url}"}),
    ):
        assert response.status < 500 or response.status == 501


def test_41_only_what_tells_of_events_opens_connections():
    opening = re.compile(
        r"connectTCP|connectSSL|connectUNIX|clientFromString|urlopen|Agent\(|HostnameEndpoint|wrapClientTLS"
    )
    found = {
        str(path.relative_to(Path(zs3.__file__).parent))
        for path in Path(zs3.__file__).parent.rglob("*.py")
        if opening.search(path.read_text("utf-8"))
    }
    assert found <= {"events/webhook.py"}


class Log:
    """An access log that keeps all it is told."""

    def __init__(self):
        self.told = []

    def record(self, log, **rest):
        self.told.append((log, rest))


def test_42_neither_secrets_nor_signatures_are_logged_on_any_path(tmp_path, logged, monkeypatch):
    """GHSA-r54g, GHSA-333v, CVE-2018-16889: what is refused, malformed or fails is logged as carefully as the rest."""
    log = Log()
    daemon = Daemon(tmp_path, access_log=log)
    client = daemon.client()
    client.put("/photos")
    client.put("/photos/there", b"content")
    url = presigned(daemon, expires="60")
    signatures = [presigned(daemon, method, expires="60")[-64:] for method in ("GET", "HEAD")]
    header = sign(daemon)
    other = header["authorization"].rpartition("=")[2]
    wrong = sign(daemon, secret="a wrong secret of somebody")
    with monkeypatch.context() as patch:
        patch.setattr(daemon.store, "open_now", lambda *_: None)
        patch.setattr(daemon.store, "get_object_info", lambda *_: 1 / 0)
        headed = presigned(daemon, "HEAD", expires="60")
        responses = [
            send(daemon, "HEAD", headed, {"Host": HOST}),
            send(daemon, "HEAD", "/photos/there", sign(daemon, "HEAD")),
        ]
        assert [response.status for response in responses] == [500, 500]
    responses += [
        send(daemon, "PUT", url, {"Host": HOST}),
        send(daemon, "GET", url + "&acl", {"Host": HOST}),
        send(daemon, "GET", url, {"Host": HOST, "x-amz-acl": "private"}),
        send(daemon, "GET", "/photos/there", wrong),
        send(daemon, "GET", url.replace("/photos/", "/photos/\x01"), {"Host": HOST}),
        send(daemon, "GET", "/photos/there", {**header, "bad header": "x"}),
    ]
    daemon.server.clock.advance(120)
    responses.append(send(daemon, "GET", url, {"Host": HOST}))
    daemon.stop()
    assert all(response.status >= 400 for response in responses)
    assert len(log.told) > len(responses)
    assert logged("debug")
    # What a line is made of, without the object of the request that it is made from.
    written = "\n".join([*logged("debug"), *(f"{vars_of(entry)} {rest}" for entry, rest in log.told)])
    for secret in (*(user.secret_key for user in USERS.values()), *signatures, other, "a wrong secret"):
        assert secret not in written
    for response in responses:
        for secret in (
            *(user.secret_key for user in USERS.values()),
            str(tmp_path),
            "Traceback",
            ".py",
            "ZeroDivision",
        ):
            assert secret not in response.body.decode()


def vars_of(entry):
    return {name: getattr(entry, name) for name in dir(entry) if not name.startswith("_")}


def test_42_an_error_has_nothing_of_a_file_in_it(daemon, client, there):
    """CVE-2022-35919: the error that could not read a file as what it should be told its content."""
    (daemon.data / "photos" / "passwd").write_bytes(b"root:x:0:0")
    for query in (
        {"tagging": ""},
        {"acl": ""},
        {"attributes": ""},
        {"versionId": "x"},
        {"retention": ""},
        {"select": ""},
    ):
        for method in ("GET", "PUT", "POST"):
            assert b"root:x" not in client(method, "/photos/passwd", query).body


def test_43_nothing_is_written_for_others_to_read_whatever_the_umask(tmp_path):
    old = os.umask(0)
    try:
        data = tmp_path / "data"
        data.mkdir(0o700)
        daemon = Daemon(data)
        client = daemon.client(ALICE)
        client.put("/photos")
        client.put("/photos/a/b", b"content")
        client.put("/photos/a//c", b"content", {"x-amz-meta-long": "x" * 1900})
        client("POST", "/photos/up", {"uploads": ""})
        document = b"<PublicAccessBlockConfiguration/>"
        assert client("PUT", "/photos", {"publicAccessBlock": ""}, body=document).status == 200
        daemon.stop()
    finally:
        os.umask(old)
    seen = [path for path in data.rglob("*") if not path.is_symlink()]
    assert len(seen) > 10
    for path in seen:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o077 == 0, (path, oct(mode))


@pytest.mark.parametrize("target", ["/", "//", "/?list-type=2", "/?x=y", "/.", "/photos", "/photos/", "/.zs3/"])
def test_43_nothing_is_listed_for_nobody(daemon, there, target):
    response = send(daemon, "GET", target, {"Host": HOST})
    assert response.status in (400, 403, 404, 501)
    assert b"there" not in response.body
    assert b"<Bucket>" not in response.body


def test_44_what_is_claimed_of_encryption_is_true(daemon, client, there):
    """GHSA-xrrf: "encrypted" objects were plain.  What asks for it is refused, and no answer speaks of it."""
    for name, value in (
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "key"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
    ):
        response = client("PUT", "/photos/secret", headers={name: value}, body=b"plain")
        assert response.status in (400, 501)
        assert client("POST", "/photos/secret", {"uploads": ""}, {name: value}).status in (400, 501)
        assert client("PUT", "/photos/secret", headers={name: value, "x-amz-copy-source": there}).status in (400, 501)
    assert client("GET", "/photos/secret").status == 404
    document = (
        b"<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256"
        b"</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
    )
    assert client("PUT", "/photos", {"encryption": ""}, body=document).status == 501
    assert client("GET", "/photos", {"encryption": ""}).status in (404, 501)
    assert not any("encryption" in name for name in client("HEAD", there).headers)
    assert (daemon.data / "photos" / "there").read_bytes() == b"content"
