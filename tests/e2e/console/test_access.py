"""For everybody: by keyboard, on a phone, in the dark, and what axe-core has to say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.e2e.console.conftest import Open
from tests.e2e.console.pages import ADMIN, Console, choose, names, png, sign_in, upload

#: All that WCAG 2.2 asks for at levels A and AA, and what axe-core holds for good practice.
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.fixture
def filled(bucket: Path, s3: Any) -> Path:
    """A bucket with something of everything."""
    (bucket / "2024").mkdir()
    (bucket / "image.png").write_bytes(png(30, 20))
    (bucket / "text.txt").write_text("text\n" * 1000)
    s3.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=bucket.name, Key="2024/a.txt", Body=b"a", Metadata={"colour": "blue"}, Tagging="a=b")
    s3.delete_object(Bucket=bucket.name, Key="2024/a.txt")
    s3.put_object(Bucket=bucket.name, Key="2024/a.txt", Body=b"b", Metadata={"colour": "blue"}, Tagging="a=b")
    return bucket


def check(page: Page, what: str) -> None:
    found = Axe().run(page, options=RULES)
    assert found.violations_count == 0, f"{what}:\n{found.generate_report()}"


def show(name: str) -> Callable[[Page, Console, str], None]:
    """Goes to a page, and opens on it what is to be looked at."""

    def browse(page: Page, console: Console, bucket: str) -> None:
        page.goto(console.browse(bucket))
        expect(page.get_by_role("link", name="image.png")).to_be_visible()

    def selected(page: Page, console: Console, bucket: str) -> None:
        browse(page, console, bucket)
        page.keyboard.press("Control+a")
        expect(page.get_by_role("toolbar")).to_be_visible()

    def menu(page: Page, console: Console, bucket: str) -> None:
        browse(page, console, bucket)
        page.get_by_role("button", name="Actions for image.png").click()
        expect(page.get_by_role("menu")).to_be_visible()

    def dialog(action: str) -> Callable[[Page, Console, str], None]:
        def open_dialog(page: Page, console: Console, bucket: str) -> None:
            browse(page, console, bucket)
            choose(page, "image.png", action)
            expect(page.get_by_role("dialog")).to_be_visible()

        return open_dialog

    def at(fragment: str, text: str) -> Callable[[Page, Console, str], None]:
        def go(page: Page, console: Console, bucket: str) -> None:
            page.goto(console.url(fragment.format(bucket)))
            expect(page.get_by_text(text, exact=True).first).to_be_visible()
            page.wait_for_load_state("networkidle")

        return go

    def editor(section: str) -> Callable[[Page, Console, str], None]:
        def go(page: Page, console: Console, bucket: str) -> None:
            page.goto(console.url(f"#/s/{bucket}/{section}"))
            page.get_by_role("button", name="Add a rule").click()
            expect(page.get_by_role("group", name="Rule 1")).to_be_visible()

        return go

    def policy(page: Page, console: Console, bucket: str) -> None:
        page.goto(console.url(f"#/s/{bucket}/policy"))
        page.get_by_label("Policy (JSON)").fill("{")
        expect(page.locator("#main").get_by_role("alert")).to_be_visible()

    def purge(page: Page, console: Console, bucket: str) -> None:
        page.goto(console.url(f"#/v/{bucket}/"))
        page.get_by_role("button", name="Remove versions").click()
        expect(page.get_by_label("Type “remove” to go on")).to_be_visible()

    def new_user(page: Page, console: Console, bucket: str) -> None:
        page.goto(console.url("#/users"))
        page.get_by_role("button", name="New user").click()
        expect(page.get_by_role("dialog")).to_be_visible()

    return {
        "buckets": at("#/buckets", "New bucket"),
        "browse": browse,
        "selected": selected,
        "menu": menu,
        "delete": dialog("Delete"),
        "move": dialog("Move"),
        "rename": dialog("Rename"),
        "share": dialog("Share"),
        "object": at("#/o/{}/2024/a.txt", "Metadata"),
        "image": at("#/o/{}/image.png", "Details"),
        "text": at("#/o/{}/text.txt", "Details"),
        "missing": at("#/o/{}/missing", "There is no such object"),
        "versions": at("#/v/{}/", "delete marker"),
        "purge": purge,
        "general": at("#/s/{}/general", "Delete this bucket"),
        "policy": policy,
        "cors": editor("cors"),
        "lifecycle": editor("lifecycle"),
        "tags": at("#/s/{}/tags", "Tags of the bucket"),
        "users": at("#/users", "camera"),
        "new user": new_user,
        "disk": at("#/disk", "Space"),
    }[name]


PAGES = (
    *(
        "buckets",
        "browse",
        "selected",
        "menu",
        "delete",
        "move",
        "rename",
        "share",
        "object",
        "image",
        "text",
        "missing",
    ),
    *("versions", "purge", "general", "policy", "cors", "lifecycle", "tags", "users", "new user", "disk"),
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(open_page: Open, console: Console, filled: Path, colours: str) -> None:
    page = open_page(color_scheme=colours)
    page.goto(console.url())
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    check(page, "sign in")
    sign_in(page, console, ADMIN)
    for name in PAGES:
        show(name)(page, console, filled.name)
        check(page, name)
        page.goto("about:blank")


def test_axe_finds_nothing_among_uploads_and_messages(
    open_page: Open, console: Console, filled: Path, tmp_path: Path
) -> None:
    for colours in ("light", "dark"):
        page = open_page(color_scheme=colours)
        sign_in(page, console, ADMIN)
        page.goto(console.browse(filled.name))
        (tmp_path / "image.png").write_bytes(b"new")
        upload(page, tmp_path / "image.png")
        expect(page.get_by_role("region", name="Uploads")).to_contain_text("There is an object of that name already.")
        choose(page, "text.txt", "Download")
        page.route("**/*delete*", lambda route: route.abort())
        choose(page, "text.txt", "Delete")
        page.get_by_role("button", name="Delete 1 object").click()
        expect(page.get_by_role("alert").filter(has_text="does not answer")).to_be_visible()
        page.keyboard.press("Escape")
        check(page, f"uploads, {colours}")


@pytest.mark.timeout(300)
def test_on_a_phone_all_fits_and_can_be_hit(open_page: Open, console: Console, filled: Path) -> None:
    page = open_page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, device_scale_factor=2)
    sign_in(page, console, ADMIN)
    for name in PAGES:
        show(name)(page, console, filled.name)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360, f"{name} is {wide} pixels wide"
        small = page.evaluate(
            "[...document.querySelectorAll("
            "'button, .side a, .bucket-card a, select, textarea, input:not([type=checkbox])')]"
            ".filter(each => each.checkVisibility() && each.getBoundingClientRect().width > 1)"
            ".map(each => [each.outerHTML.slice(0, 90), each.getBoundingClientRect()])"
            ".filter(([, box]) => box.height < 43.5 || box.width < 43.5).map(([text]) => text)"
        )
        assert small == [], f"{name}: {small}"
        check(page, f"{name} on a phone")
        page.goto("about:blank")


def test_everything_in_a_folder_can_be_done_by_keyboard(page: Page, console: Console, bucket: Path) -> None:
    (bucket / "docs" / "old").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "c.txt"):
        (bucket / "docs" / name).write_text(name)
    (bucket / "docs" / "old" / "x").write_text("x")
    page.goto(console.browse(bucket.name))
    expect(page.get_by_role("link", name="docs/")).to_be_visible()
    keys = page.keyboard
    grid = page.get_by_role("grid")
    expect(grid).to_be_focused()
    keys.press("Enter")
    expect(page.get_by_role("link", name="b.txt")).to_be_visible()
    expect(grid).to_be_focused()

    def active() -> str:
        row = grid.get_attribute("aria-activedescendant")
        return page.locator(f"#{row} a").inner_text()

    assert active() == "a.txt"
    keys.press("ArrowDown")
    assert active() == "b.txt"
    keys.press("End")
    assert active() == "old/"
    keys.press("Enter")
    expect(page.get_by_role("link", name="x", exact=True)).to_be_visible()
    keys.press("Backspace")
    expect(page.get_by_role("link", name="b.txt")).to_be_visible()
    # Back where one was.
    assert active() == "old/"
    keys.press("Home")
    keys.press("F2")
    expect(page.get_by_label("New name")).to_be_focused()
    keys.press("Control+a")
    keys.type("z.txt")
    keys.press("Enter")
    expect(page.get_by_role("link", name="z.txt")).to_be_visible()
    expect(grid).to_be_focused()
    keys.press("Home")
    keys.press("Space")
    keys.press("Shift+ArrowDown")
    expect(page.get_by_role("toolbar")).to_contain_text("2 selected")
    keys.press("Delete")
    expect(page.get_by_role("button", name="Delete 2 objects")).to_be_enabled()
    # What does no harm has the focus.
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    keys.press("Tab")
    keys.press("Enter")
    expect(page.get_by_role("dialog")).not_to_be_visible()
    assert names(page) == ["old/", "z.txt"]
    expect(grid).to_be_focused()
    # The menu of a row, and out of it again.
    keys.press("End")
    keys.press("Shift+F10")
    expect(page.get_by_role("menuitem", name="Open")).to_be_focused()
    keys.press("ArrowDown")
    expect(page.get_by_role("menuitem", name="Download")).to_be_focused()
    keys.press("Escape")
    expect(page.get_by_role("menu")).not_to_be_visible()
    expect(grid).to_be_focused()
    keys.type("o")
    expect(page.get_by_label("Names that begin with")).to_be_focused()
    expect(page.locator(".status-line")).to_have_text("1 entry")
    keys.press("ArrowDown")
    expect(grid).to_be_focused()
    # From the top of the page one comes to its content at once.
    page.goto("about:blank")
    page.goto(console.url("#/disk"))
    expect(page.get_by_role("meter", name="Space")).to_be_visible()
    keys.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    keys.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_a_screen_reader_is_told_what_the_rows_are(page: Page, console: Console, filled: Path) -> None:
    page.goto(console.browse(filled.name))
    assert names(page) == ["2024/", "image.png", "text.txt"]
    grid = page.get_by_role("grid", name=f"Objects in {filled.name}/")
    expect(grid).to_have_attribute("aria-rowcount", "4")
    rows = grid.get_by_role("row")
    expect(rows.nth(1)).to_have_attribute("aria-selected", "false")
    assert [rows.nth(i).get_attribute("aria-rowindex") for i in range(4)] == ["1", "2", "3", "4"]
    for name, order in (("Name", "ascending"), ("Size", "none"), ("Modified", "none")):
        expect(grid.get_by_role("columnheader", name=name)).to_have_attribute("aria-sort", order)
    grid.get_by_role("button", name="Size").focus()
    page.keyboard.press("Enter")
    expect(grid.get_by_role("columnheader", name="Size")).to_have_attribute("aria-sort", "descending")
    assert names(page) == ["2024/", "text.txt", "image.png"]
    expect(page).to_have_title(f"{filled.name}/ – zs3")
    expect(page.get_by_role("status").filter(has_text="3 entries")).to_be_attached()
    page.goto(console.object(filled.name, "image.png"))
    expect(page).to_have_title("image.png – zs3")
