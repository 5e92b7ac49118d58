"""CORS with real clients: what the manual shows, preflights over sockets, and pages in a browser."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import Run
from tests.e2e.daemon import PATIENCE, Daemon, Endpoint, isolated_environment
from tests.e2e.plainhttp import fetch, presigned
from tests.e2e.test_awscli import command

MANUAL = (Path(__file__).parents[2] / "docs/clients.rst").read_text("utf-8")
SHOWN_ORIGIN = "http://app.localhost:8080"


def shown() -> dict[str, Any]:
    """The rules of the manual."""
    block = re.search(r":caption: cors\.json\n\n((?:   .*\n)+)", MANUAL)
    assert block is not None
    rules: dict[str, Any] = json.loads(block[1])
    return rules


def test_boto3_gets_what_it_put(s3: Any, bucket: str) -> None:
    s3.create_bucket(Bucket=bucket)
    rules = [
        {"AllowedOrigins": ["*"], "AllowedMethods": ["GET"]},
        {
            "ID": "second",
            "AllowedOrigins": ["https://*.example", "null"],
            "AllowedMethods": ["PUT", "DELETE", "HEAD", "POST"],
            "AllowedHeaders": ["*"],
            "ExposeHeaders": ["ETag", "x-amz-meta-a"],
            "MaxAgeSeconds": 0,
        },
    ]
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == rules
    with pytest.raises(ClientError, match=r"InvalidRequest.*Unsupported method is TRACE"):
        s3.put_bucket_cors(
            Bucket=bucket, CORSConfiguration={"CORSRules": [{"AllowedOrigins": ["*"], "AllowedMethods": ["TRACE"]}]}
        )
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == rules
    s3.delete_bucket_cors(Bucket=bucket)
    with pytest.raises(ClientError, match="NoSuchCORSConfiguration"):
        s3.get_bucket_cors(Bucket=bucket)
    s3.delete_bucket_cors(Bucket=bucket)


def test_the_command_of_the_manual_lets_the_page_of_the_manual_in(
    run: Run, daemon: Daemon, bucket: str, tmp_path: Path
) -> None:
    aws = command(run, daemon.plain)
    aws("s3", "mb", f"s3://{bucket}")
    (tmp_path / "cors.json").write_text(json.dumps(shown()))
    [line] = [line.strip() for line in MANUAL.splitlines() if "put-bucket-cors" in line]
    assert line.startswith("aws ")
    aws(*line.replace("photos", bucket).split()[1:])
    got = json.loads(aws("s3api", "get-bucket-cors", "--bucket", bucket))
    assert got == shown()

    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}
    for endpoint in (daemon.plain, daemon.tls):
        answer = fetch(endpoint, f"/{bucket}/key", "OPTIONS", headers={"Origin": SHOWN_ORIGIN, **asked})
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["Access-Control-Allow-Origin"] == SHOWN_ORIGIN
        assert answer.headers["Access-Control-Allow-Methods"] == "GET, HEAD, PUT"
        assert answer.headers["Access-Control-Allow-Headers"] == "content-type"
        assert answer.headers["Access-Control-Max-Age"] == "3600"
        answer = fetch(endpoint, f"/{bucket}/key", "OPTIONS", headers={"Origin": "http://app.localhost", **asked})
        assert answer.status == 403
        assert b"<Code>AccessForbidden</Code>" in answer.body

    aws("s3api", "delete-bucket-cors", "--bucket", bucket)
    answer = fetch(daemon.plain, f"/{bucket}/key", "OPTIONS", headers={"Origin": SHOWN_ORIGIN, **asked})
    assert b"CORS is not enabled for this bucket." in answer.body


@pytest.mark.parametrize("size", [0, 1000, 5_000_000])
def test_answers_of_every_size_say_it(s3: Any, endpoint: Endpoint, bucket: str, size: int) -> None:
    """Large ones go from the file to the socket, and over TLS in pieces."""
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=shown())
    content = os.urandom(size)
    s3.put_object(Bucket=bucket, Key="key", Body=content)
    url = presigned(endpoint, "GET", bucket, "key")
    answer = fetch(endpoint, url, headers={"Origin": SHOWN_ORIGIN})
    assert (answer.status, answer.body) == (200, content)
    assert answer.headers["Access-Control-Allow-Origin"] == SHOWN_ORIGIN
    assert answer.headers["Vary"] == "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"
    plain = fetch(endpoint, url)
    assert (plain.status, plain.body) == (200, content)
    assert "Access-Control-Allow-Origin" not in plain.headers


# Pages in a browser

#: Operating systems' packages; Debian's chromium-headless-shell is the smallest.
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)

#: Fetches what it is told to, and tells its own server what it saw of the answers.
PAGE = """<!doctype html><meta charset="utf-8"><title>page</title><script>
async function digest(buffer) {
    const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", buffer));
    return Array.from(sum, byte => byte.toString(16).padStart(2, "0")).join("");
}
async function visit({url, size, fields, ...settings}) {
    try {
        if (size) settings.body = new Uint8Array(size).fill(7);
        if (fields) {
            const form = new FormData();
            for (const [name, value] of Object.entries(fields)) form.append(name, value);
            form.append("file", new Blob([settings.body]), "page.bin");
            settings.body = form;
        }
        const answer = await fetch(url, settings);
        const body = await answer.arrayBuffer();
        return {
            status: answer.status, type: answer.type, etag: answer.headers.get("ETag"),
            id: answer.headers.get("x-amz-request-id"), sum: await digest(body),
            text: new TextDecoder().decode(body.slice(0, 500)),
        };
    } catch (error) {
        return {error: error.name};
    }
}
(async () => {
    const seen = [];
    for (const each of await (await fetch("/visits")).json()) seen.push(await visit(each));
    await fetch("/seen", {method: "POST", body: JSON.stringify(seen)});
})();
</script>"""


class Pages(ThreadingHTTPServer):
    """An origin of its own.

    :ivar visits: what its page shall fetch.
    :ivar seen: what it told.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.visits: list[dict[str, Any]] = []
        self.seen: queue.Queue[list[dict[str, Any]]] = queue.Queue()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Pages

    def do_GET(self) -> None:
        page = self.path == "/"
        self.send_response(200 if page or self.path == "/visits" else 404)
        self.send_header("Content-Type", "text/html" if page else "application/json")
        self.end_headers()
        self.wfile.write(PAGE.encode() if page else json.dumps(self.server.visits).encode())

    def do_POST(self) -> None:
        seen = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()
        self.server.seen.put(seen)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def pages() -> Iterator[Pages]:
    with Pages() as pages:
        thread = threading.Thread(target=pages.serve_forever)
        thread.start()
        yield pages
        pages.shutdown()
        thread.join()


@contextmanager
def browser(home: Path, url: str) -> Iterator[None]:
    """A browser that has a page open."""
    assert BROWSER is not None
    options = ["--headless", "--disable-gpu", "--remote-debugging-port=0", f"--user-data-dir={home / 'profile'}"]
    # It is to ask nobody but the page.
    options += ["--no-first-run", "--disable-quic"]
    options += [f"--disable-{what}" for what in ("background-networking", "component-update", "sync")]
    if os.geteuid() == 0:
        options.append("--no-sandbox")  # it will not run as root with one
    # It makes a socket there, whose path must not be long.
    with tempfile.TemporaryDirectory() as short, (home / "browser.log").open("wb") as log:
        environment = isolated_environment(home, TMPDIR=short)
        process = subprocess.Popen([BROWSER, *options, url], cwd=home, env=environment, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE)


def look(home: Path, pages: Pages, *visits: dict[str, Any]) -> list[dict[str, Any]]:
    """What a page sees of what it fetches, one after the other."""
    pages.visits = list(visits)
    with browser(home, pages.origin + "/"):
        try:
            return pages.seen.get(timeout=PATIENCE)
        except queue.Empty:
            pytest.fail("the page did not tell: " + (home / "browser.log").read_text("utf-8", "replace"))


BLOCKED = {"error": "TypeError"}


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed (an operating system's package, e.g. apt)")
@pytest.mark.parametrize("endpoint", ["plain"], indirect=True)
def test_a_page_of_another_origin_uploads_and_reads_in_a_browser(
    s3: Any, endpoint: Endpoint, bucket: str, daemon: Daemon, pages: Pages, tmp_path: Path
) -> None:
    s3.create_bucket(Bucket=bucket)
    rules = shown()
    rules["CORSRules"][0]["AllowedOrigins"] = [pages.origin]
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=rules)
    size = 3_000_000
    content = b"\7" * size

    def url(method: str, key: str) -> str:
        return endpoint.url + presigned(endpoint, method, bucket, key)

    upload, read, missing, changed, deleted, header = look(
        tmp_path,
        pages,
        {"url": url("PUT", "page.bin"), "method": "PUT", "size": size, "headers": {"Content-Type": "text/x-page"}},
        {"url": url("GET", "page.bin")},
        {"url": url("GET", "missing")},
        {"url": url("PUT", "other").replace("other", "page.bin"), "method": "PUT", "size": 5},
        {"url": url("DELETE", "page.bin"), "method": "DELETE"},
        {"url": url("GET", "page.bin"), "headers": {"X-Page": "1"}},
    )
    assert (upload["status"], upload["type"], upload["etag"]) == (200, "cors", f'"{hashlib.md5(content).hexdigest()}"')
    assert upload["id"] is None, "only what is exposed can be read"
    assert (read["status"], read["sum"]) == (200, hashlib.sha256(content).hexdigest())
    assert (missing["status"], "<Code>NoSuchKey</Code>" in missing["text"]) == (404, True)
    assert (changed["status"], "<Code>SignatureDoesNotMatch</Code>" in changed["text"]) == (403, True)
    assert (deleted, header) == (BLOCKED, BLOCKED)
    assert (daemon.data / bucket / "page.bin").read_bytes() == content
    assert s3.head_object(Bucket=bucket, Key="page.bin")["ContentType"] == "text/x-page"


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed (an operating system's package, e.g. apt)")
@pytest.mark.parametrize("endpoint", ["plain"], indirect=True)
def test_a_page_of_another_origin_uploads_with_a_signed_form_in_a_browser(
    s3: Any, bucket: str, daemon: Daemon, pages: Pages, tmp_path: Path
) -> None:
    s3.create_bucket(Bucket=bucket)
    rule = {"AllowedOrigins": [pages.origin], "AllowedMethods": ["POST"], "ExposeHeaders": ["ETag"]}
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    size = 3_000_000
    content = b"\7" * size
    form = s3.generate_presigned_post(
        bucket,
        "uploads/${filename}",
        Fields={"Content-Type": "text/x-page", "success_action_status": "201"},
        Conditions=[
            {"Content-Type": "text/x-page"},
            {"success_action_status": "201"},
            ["content-length-range", 1, size],
        ],
    )
    visit = {"url": form["url"], "method": "POST", "fields": form["fields"], "size": size}
    upload, large, changed = look(
        tmp_path,
        pages,
        visit,
        {**visit, "size": size + 1},
        {**visit, "fields": {**form["fields"], "key": "elsewhere/${filename}"}},
    )
    assert (upload["status"], upload["type"], upload["etag"]) == (201, "cors", f'"{hashlib.md5(content).hexdigest()}"')
    assert "<Key>uploads/page.bin</Key>" in upload["text"]
    assert (large["status"], "<Code>EntityTooLarge</Code>" in large["text"]) == (400, True)
    assert (changed["status"], "<Code>AccessDenied</Code>" in changed["text"]) == (403, True)
    assert (daemon.data / bucket / "uploads/page.bin").read_bytes() == content
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["uploads/page.bin"]
    assert s3.head_object(Bucket=bucket, Key="uploads/page.bin")["ContentType"] == "text/x-page"

    rule["AllowedMethods"] = ["PUT"]
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    # A form needs no preflight: what the page may not know is how it was answered.
    assert look(tmp_path, pages, visit) == [BLOCKED]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed (an operating system's package, e.g. apt)")
@pytest.mark.parametrize("endpoint", ["plain"], indirect=True)
def test_a_page_that_no_rule_names_reads_nothing_in_a_browser(
    s3: Any, endpoint: Endpoint, bucket: str, daemon: Daemon, pages: Pages, tmp_path: Path
) -> None:
    s3.create_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket + "-all")
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=shown())
    everybody = {"CORSRules": [{"AllowedOrigins": ["*"], "AllowedMethods": ["GET"]}]}
    s3.put_bucket_cors(Bucket=bucket + "-all", CORSConfiguration=everybody)
    for name in (bucket, bucket + "-all"):
        s3.put_object(Bucket=name, Key="key", Body=b"secret")

    def url(method: str, name: str) -> str:
        return endpoint.url + presigned(endpoint, method, name, "key")

    read, write, allowed, trusted = look(
        tmp_path,
        pages,
        {"url": url("GET", bucket)},
        {"url": url("PUT", bucket), "method": "PUT", "size": 5},
        {"url": url("GET", bucket + "-all")},
        {"url": url("GET", bucket + "-all"), "credentials": "include"},
    )
    assert (read, write) == (BLOCKED, BLOCKED)
    assert (allowed["status"], allowed["text"]) == (200, "secret")
    assert trusted == BLOCKED
    assert (daemon.data / bucket / "key").read_bytes() == b"secret"
