"""Signing in and out, and what of a secret is ever to be seen."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from tests.e2e.console.conftest import USERS, Open
from tests.e2e.console.pages import ADMIN, GUEST, LAN, Console, KeyPair, give_keys, names, png, sign_in, until, upload
from tests.e2e.daemon import running


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """A file of users for a daemon of the test's own, and an object for it to serve."""
    users = tmp_path / "users.toml"
    users.write_text(USERS)
    users.chmod(0o600)
    (tmp_path / "data" / "photos" / "2024").mkdir(parents=True)
    (tmp_path / "data" / "photos" / "2024" / "cat.txt").write_text("meow")
    return users


def test_the_secret_neither_travels_nor_stays(open_page: Open, console: Console) -> None:
    page = open_page()
    seen: list[str] = []

    def see(request: Request) -> None:
        seen.extend((request.url, json.dumps(request.all_headers()), request.post_data or ""))

    page.on("request", see)
    sign_in(page, console, ADMIN)
    page.goto(console.url("#/users"))
    expect(page.get_by_role("heading", name="camera")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert any("AWS4-HMAC-SHA256" in each for each in seen)
    storage = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])")
    document = page.content()
    for text in (*seen, storage, document):
        assert ADMIN.secret_key not in text
        assert ADMIN.secret_key.split("/")[1] not in text
    # What is kept signs for two days, in one region, and for S3 alone.
    kept = json.loads(page.evaluate("sessionStorage.getItem('zs3-console-session')"))
    assert len(kept["keys"]) == 2
    assert page.evaluate("localStorage.length") == 0


def test_wrong_keys_are_told_and_let_nobody_in(open_page: Open, console: Console) -> None:
    page = open_page()
    page.goto(console.url())
    for pair in (KeyPair("NOBODY", ADMIN.secret_key), KeyPair(ADMIN.access_key, "wrong-secret-key")):
        give_keys(page, pair)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("no such pair")
        expect(page.get_by_label("Secret key")).to_be_focused()
        page.reload()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_a_reload_stays_signed_in_and_another_tab_does_not(page: Page, console: Console) -> None:
    page.reload()
    expect(page.get_by_role("heading", name="Buckets", exact=True)).to_be_visible()
    other = page.context.new_page()
    other.goto(console.url())
    expect(other.get_by_role("button", name="Sign in")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_on_a_lan_without_tls_all_works_without_webcrypto(
    open_page: Open, console: Console, bucket: Path, tmp_path: Path
) -> None:
    page = open_page()
    sign_in(page, console, ADMIN, host=LAN)
    assert page.evaluate("[isSecureContext, typeof crypto.subtle, typeof navigator.clipboard]") == [
        False,
        "undefined",
        "undefined",
    ]
    content = bytes(range(256)) * 100_000
    (tmp_path / "large.bin").write_bytes(content)
    page.goto(console.url(f"#/b/{bucket.name}/", host=LAN))
    upload(page, tmp_path / "large.bin")
    expect(page.get_by_role("region", name="Uploads")).to_contain_text("1 of 1 file")
    assert (bucket / "large.bin").read_bytes() == content
    page.get_by_role("link", name="large.bin").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert Path(download.value.path()).read_bytes() == content
    page.get_by_role("button", name="Share").click()
    page.get_by_role("button", name="Copy the link").click()
    expect(page.get_by_role("status").filter(has_text="Copied the link.").first).to_be_attached()


def test_over_tls_the_media_come_over_tls_too(browser: Browser, tmp_path: Path, users: Path) -> None:
    (tmp_path / "data" / "photos" / "image.png").write_bytes(png(30, 20))
    where = f"ssl:port=0:interface=127.0.0.1:privateKey={tmp_path}/key.pem:certKey={tmp_path}/certificate.pem"
    with running(tmp_path, tmp_path / "data", "--console", where, "--auth", f"zs3:{users}") as daemon:
        context = browser.new_context(ignore_https_errors=True)
        page = context.new_page()
        page.goto(f"https://127.0.0.1:{daemon.port_of(where)}/")
        give_keys(page, ADMIN)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("link", name="photos").click()
        page.get_by_role("link", name="image.png").click()
        expect(page.get_by_role("img")).to_be_visible()
        until(page, "document.querySelector('img').naturalWidth === 30")
        assert str(page.get_by_role("img").get_attribute("src")).startswith(f"{daemon.tls.url}/photos/image.png?")
        context.close()


def test_a_clock_that_is_wrong_does_not_keep_anybody_out(open_page: Open, console: Console) -> None:
    """As on a phone that was off for a year."""
    page = open_page()
    page.clock.install(time="2025-03-01T12:00:00Z")
    sign_in(page, console, ADMIN)
    page.reload()
    expect(page.get_by_role("heading", name="Buckets", exact=True)).to_be_visible()


def test_after_two_days_one_signs_in_again_where_one_is(open_page: Open, console: Console, bucket: Path) -> None:
    (bucket / "cat.txt").write_text("meow")
    page = open_page()
    sign_in(page, console, ADMIN)
    page.goto(console.browse(bucket.name))
    assert names(page) == ["cat.txt"]
    page.clock.set_fixed_time(datetime.now(UTC) + timedelta(days=2))
    page.get_by_role("button", name="Reload the list").click()
    again = page.get_by_role("dialog", name="Sign in again")
    expect(again).to_be_visible()
    # What was there is still to be seen, behind it.
    expect(page.get_by_text("cat.txt")).to_be_visible()
    expect(again.get_by_label("Access key")).to_have_value(ADMIN.access_key)
    again.get_by_label("Secret key").fill(ADMIN.secret_key)
    again.get_by_role("button", name="Go on").click()
    expect(again).not_to_be_visible()
    expect(page.locator("#main").get_by_role("alert")).to_have_count(0)
    expect(page.get_by_role("link", name="cat.txt")).to_be_visible()
    assert page.url == console.browse(bucket.name)


def test_who_is_locked_out_meanwhile_signs_in_again_and_is_where_they_were(
    browser: Browser, tmp_path: Path, users: Path
) -> None:
    with running(tmp_path, tmp_path / "data", "--console", Console.WHERE, "--auth", f"zs3:{users}") as daemon:
        console = Console(daemon)
        context = browser.new_context()
        page = context.new_page()
        sign_in(page, console, ADMIN)
        page.goto(console.browse("photos", "2024/"))
        assert names(page) == ["cat.txt"]
        users.write_text(USERS.replace(ADMIN.access_key, "ANOTHERADMINKEY"))
        again = page.get_by_role("dialog", name="Sign in again")
        status = 200
        while status == 200:  # the change is taken over with a request a second later
            with page.expect_response(lambda answer: "list-type=2" in answer.url) as answer:
                page.get_by_role("button", name="Reload the list").click()
            status = answer.value.status
        expect(again).to_be_visible()
        assert page.url.endswith("#/b/photos/2024/")
        again.get_by_label("Access key").fill("ANOTHERADMINKEY")
        again.get_by_label("Secret key").fill(ADMIN.secret_key)
        again.get_by_role("button", name="Go on").click()
        expect(again).not_to_be_visible()
        page.get_by_role("button", name="Reload the list").click()
        expect(page.get_by_role("link", name="cat.txt")).to_be_visible()
        context.close()


def test_a_daemon_that_is_gone_is_told_of_and_found_again(browser: Browser, tmp_path: Path, users: Path) -> None:
    arguments = ["--console", Console.WHERE, "--auth", f"zs3:{users}"]
    with running(tmp_path, tmp_path / "data", *arguments) as daemon:
        console = Console(daemon)
        port = console.port
        context = browser.new_context()
        page = context.new_page()
        sign_in(page, console, ADMIN)
        page.goto(console.browse("photos", "2024/"))
        assert names(page) == ["cat.txt"]
    page.get_by_role("button", name="Reload the list").click()
    expect(page.get_by_role("alert").filter(has_text="does not answer")).to_be_visible()
    # What was there is still to be seen.
    expect(page.get_by_role("link", name="cat.txt")).to_be_visible()
    again = ["--console", f"tcp:port={port}:interface=127.0.0.1", *arguments[2:]]
    with running(tmp_path, tmp_path / "data", *again):
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("alert").filter(has_text="does not answer")).not_to_be_visible()
        assert names(page) == ["cat.txt"]
        context.close()


def test_what_is_refused_is_told_with_the_servers_words(
    open_page: Open, console: Console, bucket: Path, tmp_path: Path
) -> None:
    page = open_page()
    sign_in(page, console, GUEST)
    expect(page.get_by_role("link", name="Users")).not_to_be_visible()
    page.goto(console.browse(bucket.name))
    (tmp_path / "new.txt").write_text("new")
    upload(page, tmp_path / "new.txt")
    expect(page.get_by_role("region", name="Uploads")).to_contain_text("Access Denied")
    page.goto(console.url(f"#/s/{bucket.name}/general"))
    page.get_by_role("switch", name="Keep versions").click()
    expect(page.get_by_role("alert").filter(has_text="AccessDenied").first).to_be_visible()
    expect(page.get_by_role("switch", name="Keep versions")).not_to_be_checked()
    assert list(bucket.iterdir()) == []
