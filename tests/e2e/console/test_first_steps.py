"""What the quick start says of the browser: from the first start to a photo that others see by a link."""

from __future__ import annotations

import tomllib
import urllib.request
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.e2e.console.pages import Console, KeyPair, Watch, give_keys
from tests.e2e.daemon import running

MANUAL = Path(__file__).resolve().parents[3] / "docs"
PHOTO = MANUAL / "images" / "console-object.png"


def test_a_photo_is_shared_by_a_link_five_minutes_after_the_first_start(browser: Browser, tmp_path: Path) -> None:
    told = (MANUAL / "quickstart.rst").read_text(encoding="utf-8")
    with running(tmp_path, tmp_path / "data", "--console", Console.WHERE, variables={}) as daemon:
        console = Console(daemon)
        made = tomllib.loads((daemon.data / ".zs3" / "private" / "credentials").read_text())["users"]["admin"]
        context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
        page = context.new_page()
        watch = Watch(page, console)

        def press(name: str) -> None:
            assert f"*{name}*" in told
            page.get_by_role("button", name=name, exact=True).click()

        page.goto(console.url())
        give_keys(page, KeyPair(made["access_key"], made["secret_key"]))
        press("Sign in")
        press("New bucket")
        page.get_by_role("dialog").get_by_role("textbox").fill("photos")
        page.keyboard.press("Enter")
        expect(page.get_by_role("navigation", name="Path")).to_contain_text("photos")
        with page.expect_file_chooser() as chooser:
            press("Upload")
        chooser.value.set_files(PHOTO)
        page.get_by_role("link", name=PHOTO.name).click()
        press("Share")
        press("Copy the link")
        link = page.evaluate("navigator.clipboard.readText()")
        with urllib.request.urlopen(link) as answer:
            assert (answer.read(), answer.headers["Content-Type"]) == (PHOTO.read_bytes(), "image/png")
        context.close()
        watch.check()
