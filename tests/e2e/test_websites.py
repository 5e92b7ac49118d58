"""Websites: what the manual shows, by aws-cli and boto3, and what a browser gets over sockets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import Run
from tests.e2e.daemon import Daemon, Endpoint, running
from tests.e2e.plainhttp import Response, fetch, presigned
from tests.e2e.test_awscli import command

DOCS = Path(__file__).parents[2] / "docs"
MANUAL = (DOCS / "website.rst").read_text("utf-8")
DOMAIN = "web.localhost"

Visit = Callable[..., Response]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home = tmp_path_factory.mktemp("websites")
    assert f"--website-domain {DOMAIN}" in MANUAL
    with running(home, home / "data", "--website-domain", DOMAIN, "--workers", "2") as daemon:
        yield daemon


@pytest.fixture
def visit(endpoint: Endpoint, bucket: str) -> Visit:
    """Asks for a page as a browser does."""

    def visit(target: str, method: str = "GET", **headers: str) -> Response:
        lines = {"Host": f"{bucket}.{DOMAIN}:{endpoint.port}", **headers}
        return fetch(endpoint, endpoint.url + target, method, headers=lines)

    return visit


def shown(bucket: str) -> dict[str, Any]:
    """The policy of the manual, for another bucket."""
    policy: dict[str, Any] = json.loads((DOCS / "website-policy.json").read_text().replace(":blog", ":" + bucket))
    return policy


def seen(answer: Response) -> tuple[int, bytes, str | None]:
    return answer.status, answer.body, answer.headers["Location"]


def test_the_commands_of_the_manual_make_a_website(
    run: Run, endpoint: Endpoint, bucket: str, visit: Visit, tmp_path: Path
) -> None:
    aws = command(run, endpoint)
    site = tmp_path / "site"
    for name in ("index.html", "error.html", "docs/index.html", "new/a b.html", "style.css"):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(name)
    (tmp_path / "policy.json").write_text(json.dumps(shown(bucket)))
    (tmp_path / "website.json").write_bytes((DOCS / "website.json").read_bytes())
    lines = [line.strip() for line in MANUAL.splitlines() if line.startswith("   aws ")]
    assert len(lines) == 6
    for line in lines[:-1]:
        words = [re.sub(r"^(s3://)?blog$", rf"\1{bucket}", word) for word in line.split()[1:]]
        aws(*words)
    assert aws("s3api", "get-bucket-website", "--bucket", bucket)
    host = f"{bucket}.{DOMAIN}:{endpoint.port}"
    scheme = "https" if endpoint.secure else "http"

    assert seen(visit("/")) == (200, b"index.html", None)
    assert visit("/").headers["Content-Type"] == "text/html"
    assert visit("/style.css").headers["Content-Type"] == "text/css"
    assert "X-Content-Type-Options" not in visit("/style.css").headers
    assert seen(visit("/docs/")) == (200, b"docs/index.html", None)
    assert seen(visit("/docs")) == (302, b"", "/docs/")
    assert seen(visit("/missing")) == (404, b"error.html", None)
    assert seen(visit("/missing", "HEAD")) == (404, b"", None)
    assert visit("/", "DELETE").status == 405
    assert seen(visit("/old/a")) == (404, b"error.html", None)

    aws(*[word.replace("blog", bucket) for word in lines[-1].split()[1:]])
    assert json.loads(aws("s3api", "get-bucket-website", "--bucket", bucket)) == json.loads(
        (DOCS / "website.json").read_text()
    )
    assert seen(visit("/old/a%20b.html")) == (301, b"", f"{scheme}://{host}/new/a%20b.html")
    assert seen(visit("/new/a%20b.html")) == (200, b"new/a b.html", None)
    assert seen(visit("/wiki/a")) == (302, b"", "https://wiki.example.org/wiki/a")
    assert seen(visit("/missing")) == (404, b"error.html", None)

    aws("s3", "cp", site / "index.html", f"s3://{bucket}/moved", "--website-redirect", "/docs/")
    assert seen(visit("/moved")) == (301, b"", "/docs/")
    aws("s3api", "delete-bucket-website", "--bucket", bucket)
    answer = visit("/")
    assert answer.status == 404
    assert b"<li>Code: NoSuchWebsiteConfiguration</li>" in answer.body


def test_boto3_gets_what_it_put(s3: Any, bucket: str, visit: Visit) -> None:
    s3.create_bucket(Bucket=bucket)
    with pytest.raises(ClientError, match="NoSuchWebsiteConfiguration"):
        s3.get_bucket_website(Bucket=bucket)
    everything = {"RedirectAllRequestsTo": {"HostName": "example.org", "Protocol": "https"}}
    s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration=everything)
    got = s3.get_bucket_website(Bucket=bucket)
    del got["ResponseMetadata"]
    assert got == everything
    # It needs no right to anything.
    assert seen(visit("/a%20b?c=d")) == (301, b"", "https://example.org/a%20b?c=d")
    with pytest.raises(ClientError, match=r"InvalidArgument.*IndexDocument Suffix"):
        s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration={"ErrorDocument": {"Key": "e"}})
    s3.delete_bucket_website(Bucket=bucket)
    assert visit("/").status == 404


@pytest.mark.parametrize("size", [0, 1000, 5_000_000])
def test_pages_of_every_size(s3: Any, bucket: str, visit: Visit, size: int) -> None:
    """Large ones go from the file to the socket, and over TLS in pieces."""
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}})
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(shown(bucket)))
    content = b"x" * size
    s3.put_object(Bucket=bucket, Key="index.html", Body=content)
    answer = visit("/")
    assert (answer.status, answer.body) == (200, content)
    assert "X-Content-Type-Options" not in answer.headers
    assert visit("/", **{"If-None-Match": answer.headers["ETag"]}).status == 304
    if size:
        answer = visit("/", Range="bytes=-10")
        assert (answer.status, answer.body, "X-Content-Type-Options" in answer.headers) == (206, content[-10:], False)


def test_what_nobody_may_read_is_on_no_website(s3: Any, endpoint: Endpoint, bucket: str, visit: Visit) -> None:
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}})
    s3.put_object(Bucket=bucket, Key="index.html", Body=b"secret")
    for target in ("/", "/index.html", "/missing", presigned(endpoint, "GET", bucket, "index.html")):
        answer = visit(target)
        assert answer.status == 403
        assert b"secret" not in answer.body
