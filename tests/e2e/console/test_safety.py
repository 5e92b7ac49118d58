"""What is stored is shown and never run, wherever it turns up on a page."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.console.conftest import Open
from tests.e2e.console.pages import ADMIN, Console, choose, sign_in
from tests.e2e.daemon import Endpoint
from tests.e2e.plainhttp import fetch

EVIL = "<img src=x onerror=window.bad=1><script>window.bad=1</script>"


def test_markup_in_keys_metadata_and_tags_is_text(page: Page, console: Console, bucket: Path, s3: Any) -> None:
    s3.put_object(
        Bucket=bucket.name, Key=EVIL, Body=EVIL.encode(), ContentType="text/html",
        Metadata={"note": EVIL}, ContentDisposition=f'inline; filename="{EVIL}"', ContentLanguage=EVIL,
    )  # fmt: skip
    s3.put_object(Bucket=bucket.name, Key=f"javascript:window.bad=1//{EVIL}/x", Body=b"x")
    s3.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=bucket.name, Key=EVIL, Body=EVIL.encode(), ContentType="text/html", Metadata={"note": EVIL})
    page.goto(console.browse(bucket.name))
    expect(page.get_by_role("link", name=EVIL.split("/")[0])).to_be_visible()
    for address in (console.browse(bucket.name, "javascript:window.bad=1//"), console.url(f"#/v/{bucket.name}/")):
        page.goto(address)
        expect(page.get_by_text("onerror=window.bad=1").first).to_be_visible()
    page.goto(console.object(bucket.name, EVIL))
    expect(page.locator("pre")).to_have_text(EVIL)
    expect(page.get_by_role("region", name="Metadata")).to_contain_text(EVIL)
    page.get_by_role("button", name="Share").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="More").click()
    page.get_by_role("menuitem", name="Delete").click()
    expect(page.get_by_role("dialog")).to_contain_text("1 object")
    assert page.evaluate("window.bad") is None
    assert page.locator("iframe, object, embed").count() == 0


@pytest.mark.parametrize(
    "kind", ["text/html", "image/svg+xml", "application/xhtml+xml", "application/pdf", "text/javascript"]
)
def test_no_object_is_a_page_of_this_origin(page: Page, console: Console, bucket: Path, s3: Any, kind: str) -> None:
    s3.put_object(Bucket=bucket.name, Key="evil", Body=b"<script>window.bad = 1</script>", ContentType=kind)
    page.goto(console.object(bucket.name, "evil"))
    expect(page.get_by_role("heading", name="evil")).to_be_visible()
    assert page.evaluate("window.bad") is None
    # Nor by an address of its own.
    answer = page.context.request.get(console.url(f"{bucket.name}/evil"))
    assert answer.status == 400
    assert b"window.bad" not in answer.body()


def test_the_address_of_the_page_is_no_way_in(open_page: Open, console: Console, bucket: Path) -> None:
    page = open_page()
    sign_in(page, console, ADMIN)
    for fragment in (
        f"#/b/{EVIL}/", f"#/o/{bucket.name}/{EVIL}", "#/b/%E0%A4%A/", "#/o/x?version=%", "#/s/%3Cscript%3E/policy",
        "#javascript:window.bad=1", "#/users?x=<script>window.bad=1</script>", "#/v/../%2e%2e/",
    ):  # fmt: skip
        page.goto("about:blank")
        page.goto(console.url(fragment))
        expect(page.get_by_role("navigation", name="Main")).to_be_visible()
        expect(page.locator("#main h1").first).to_be_attached()
    assert page.evaluate("window.bad") is None


def test_errors_of_the_server_are_text(page: Page, console: Console, bucket: Path) -> None:
    """It gives back what it was asked for."""
    page.goto(console.browse(f"{EVIL[:20]}-no-bucket"))
    expect(page.locator("#main").get_by_role("alert")).to_be_visible()
    assert page.locator("main img").count() == 0


def test_nothing_is_deleted_without_being_asked(page: Page, console: Console, bucket: Path) -> None:
    (bucket / "a").write_text("a")
    page.goto(console.browse(bucket.name))
    choose(page, "a", "Delete")
    expect(page.get_by_role("button", name="Delete 1 object")).to_be_enabled()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).not_to_be_visible()
    assert (bucket / "a").exists()


def test_the_page_asks_for_nothing_that_its_policy_would_not_let_in(console: Console) -> None:
    """No script and no style in the document, no address of another host in what is shipped."""
    answer = fetch(Endpoint(console.port), "/")
    document = answer.body.decode()
    assert re.findall(r"<script[^>]*>([^<]*)</script>", document) == [""]
    assert "style=" not in document
    assert "<style" not in document
    for name in re.findall(r'(?:src|href)="/(assets/[^"]+)"', document):
        content = fetch(Endpoint(console.port), f"/{name}").body
        text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode()
        hosts = set(re.findall(r"https?://([\w.-]+\.[a-z]+)", text))
        # Names of vocabularies, and examples of what to type.
        assert hosts <= {"www.w3.org", "s3.amazonaws.com", "example.org"}, hosts
        assert not re.search(r"\beval\(|new Function\(|\.innerHTML\s*=\s*[^=]*[\"'`]<", text)
