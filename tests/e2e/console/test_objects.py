"""Objects in the console: uploads, downloads, looks at them, names, links, deletions."""

from __future__ import annotations

import math
import os
import re
import struct
import wave
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.e2e.console.conftest import Open
from tests.e2e.console.pages import ADMIN, Console, choose, names, png, row, sign_in, until, upload
from tests.e2e.plainhttp import fetch

MIB = 1024 * 1024


#: Sees how long the page did nothing else, in milliseconds.
LONGEST_PAUSE = """
    window.longest = 0;
    new PerformanceObserver(list => {
        for (const each of list.getEntries()) window.longest = Math.max(window.longest, each.duration);
    }).observe({type: "longtask"});
"""


def hold(route: Route) -> None:
    """A request on its way that does not arrive."""


def dock(page: Page) -> Any:
    return page.get_by_role("region", name="Uploads")


def test_a_bucket_is_made_filled_and_deleted(page: Page, console: Console, tmp_path: Path) -> None:
    page.get_by_role("button", name="New bucket").click()
    name = page.get_by_label("Name")
    name.fill("No")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("alert")).to_contain_text("3 to 63")
    expect(page.get_by_role("button", name="Make it")).to_be_disabled()
    name.fill("walk-through")
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_text("Nothing here yet")).to_be_visible()
    (tmp_path / "größe ?#%.txt").write_text("hello")
    upload(page, tmp_path / "größe ?#%.txt")
    expect(dock(page)).to_contain_text("1 of 1 file")
    expect(page.get_by_role("link", name="größe ?#%.txt")).to_be_visible()
    assert names(page) == ["größe ?#%.txt"]
    bucket = console.daemon.data / "walk-through"
    assert (bucket / "größe ?#%.txt").read_text() == "hello"

    page.goto(console.url("#/buckets"))
    choose(page, "walk-through", "Delete")
    page.get_by_role("button", name="Delete the bucket").click()
    expect(dialog.get_by_role("alert")).to_contain_text("not empty")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="walk-through").click()
    choose(page, "größe ?#%.txt", "Delete")
    page.get_by_role("button", name="Delete 1 object").click()
    expect(page.get_by_text("Nothing here yet")).to_be_visible()
    page.goto(console.url("#/buckets"))
    choose(page, "walk-through", "Delete")
    page.get_by_role("button", name="Delete the bucket").click()
    expect(page.get_by_role("link", name="walk-through")).not_to_be_visible()
    assert not bucket.exists()


def test_a_large_upload_is_paused_resumed_and_whole(page: Page, console: Console, bucket: Path, tmp_path: Path) -> None:
    content = os.urandom(60 * MIB + 5)
    (tmp_path / "large.bin").write_bytes(content)
    page.goto(console.browse(bucket.name))
    page.route(re.compile("partNumber=[45]&"), hold)
    with page.expect_request(re.compile("partNumber=[45]&")):
        upload(page, tmp_path / "large.bin")
    dock(page).get_by_role("button", name="Pause large.bin").click()
    expect(dock(page)).to_contain_text("paused")
    assert not (bucket / "large.bin").exists()
    page.unroute(re.compile("partNumber=[45]&"))
    dock(page).get_by_role("button", name="Resume large.bin").click()
    expect(dock(page)).to_contain_text("1 of 1 file")
    assert (bucket / "large.bin").read_bytes() == content


def test_after_a_reload_the_same_file_goes_on_where_it_was(
    page: Page, console: Console, bucket: Path, tmp_path: Path, s3: Any
) -> None:
    content = os.urandom(60 * MIB)
    (tmp_path / "large.bin").write_bytes(content)
    page.goto(console.browse(bucket.name))
    last = re.compile("partNumber=8&")
    page.route(last, hold)
    with page.expect_request(last):
        upload(page, tmp_path / "large.bin")
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    page.unroute(last)
    [begun] = s3.list_multipart_uploads(Bucket=bucket.name)["Uploads"]
    stored = s3.list_parts(Bucket=bucket.name, Key="large.bin", UploadId=begun["UploadId"]).get("Parts", [])
    assert stored
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "partNumber=" in request.url else None)
    expect(page.get_by_role("grid")).to_be_visible()
    upload(page, tmp_path / "large.bin")
    expect(dock(page)).to_contain_text("1 of 1 file")
    assert len(sent) == 8 - len(stored)
    assert (bucket / "large.bin").read_bytes() == content


def test_a_file_that_changed_is_not_taken_for_the_one_begun_before(
    page: Page, console: Console, bucket: Path, tmp_path: Path, s3: Any
) -> None:
    begun = s3.create_multipart_upload(Bucket=bucket.name, Key="large.bin")["UploadId"]
    s3.upload_part(Bucket=bucket.name, Key="large.bin", UploadId=begun, PartNumber=1, Body=bytes(8 * MIB))
    content = os.urandom(20 * MIB)
    (tmp_path / "large.bin").write_bytes(content)
    page.goto(console.browse(bucket.name))
    upload(page, tmp_path / "large.bin")
    expect(dock(page)).to_contain_text("1 of 1 file")
    assert (bucket / "large.bin").read_bytes() == content
    s3.abort_multipart_upload(Bucket=bucket.name, Key="large.bin", UploadId=begun)


def test_what_is_cancelled_leaves_no_parts(page: Page, console: Console, bucket: Path, tmp_path: Path, s3: Any) -> None:
    (tmp_path / "large.bin").write_bytes(bytes(40 * MIB))
    page.goto(console.browse(bucket.name))
    page.route(re.compile("partNumber=5&"), hold)
    with page.expect_request(re.compile("partNumber=5&")):
        upload(page, tmp_path / "large.bin")
    with page.expect_response(lambda answer: answer.request.method == "DELETE") as answer:
        dock(page).get_by_role("button", name="Cancel large.bin").click()
    assert answer.value.status == 204
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket.name)
    assert list(bucket.iterdir()) == []


def test_nothing_is_replaced_unasked(page: Page, console: Console, bucket: Path, tmp_path: Path) -> None:
    for name, size in (("small", 10), ("large", 20 * MIB)):
        (bucket / name).write_text("old")
        (tmp_path / name).write_bytes(b"n" * size)
    page.goto(console.browse(bucket.name))
    upload(page, tmp_path / "small", tmp_path / "large")
    expect(dock(page)).to_contain_text("There are 2 objects of these names already.")
    assert [(bucket / name).read_text() for name in ("small", "large")] == ["old", "old"]
    dock(page).get_by_role("button", name="Replace large").click()
    expect(dock(page)).to_contain_text("There is an object of that name already.")
    expect(dock(page)).to_contain_text("1 of 2 files")
    dock(page).get_by_role("button", name="Skip it").click()
    expect(dock(page)).to_contain_text("1 of 1 file")
    assert (bucket / "small").read_text() == "old"
    assert (bucket / "large").read_bytes() == b"n" * (20 * MIB)


def test_a_folder_goes_up_with_its_folders(page: Page, console: Console, bucket: Path, tmp_path: Path) -> None:
    for name in ("trip/a.txt", "trip/day 1/b.txt", "trip/day 1/deep/c.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    page.goto(console.browse(bucket.name, "2024/"))
    page.get_by_label("A folder to upload").set_input_files(tmp_path / "trip")
    expect(dock(page)).to_contain_text("3 of 3 files")
    expect(page.get_by_role("link", name="trip/")).to_be_visible()
    assert names(page) == ["trip/"]
    assert (bucket / "2024/trip/day 1/deep/c.txt").read_text() == "trip/day 1/deep/c.txt"


def test_what_is_dropped_is_uploaded(page: Page, console: Console, bucket: Path) -> None:
    page.goto(console.browse(bucket.name))
    expect(page.get_by_text("Nothing here yet")).to_be_visible()
    transfer = page.evaluate_handle(
        "() => { const transfer = new DataTransfer();"
        " transfer.items.add(new File(['dropped'], 'drop.txt', {type: 'text/x-drop'})); return transfer }"
    )
    page.dispatch_event(".browse", "dragover", {"dataTransfer": transfer})
    expect(page.locator(".drop-hint")).to_be_visible()
    page.dispatch_event(".browse", "drop", {"dataTransfer": transfer})
    expect(dock(page)).to_contain_text("1 of 1 file")
    expect(page.get_by_role("link", name="drop.txt")).to_be_visible()
    assert names(page) == ["drop.txt"]
    assert (bucket / "drop.txt").read_text() == "dropped"


@pytest.mark.parametrize(
    "name", ["a//b", "/lead", "plus+ %2F", "q\"uo'te", "ü?#&=;", "tab\tx", "<b>", "😀/x", "trail/"]
)
def test_odd_keys_are_found_shown_renamed_and_deleted(
    page: Page, console: Console, bucket: Path, s3: Any, name: str
) -> None:
    s3.put_object(Bucket=bucket.name, Key=name, Body=b"content of it", ContentType="text/plain")
    # Down to it by the rows, as people go.
    page.goto(console.browse(bucket.name))
    slashes = name.removesuffix("/").count("/") + name.endswith("/")
    for _ in range(slashes):
        page.locator("[role=row] a").first.click()
    expect(page.locator("[role=row] a")).to_have_count(1)
    page.locator("[role=row] a").click()
    expect(page.locator("pre")).to_have_text("content of it")
    page.get_by_role("button", name="More").click()
    page.get_by_role("menuitem", name="Rename").click()
    page.get_by_label("New name").fill("new + name")
    page.get_by_role("button", name="Rename", exact=True).click()
    expect(page.get_by_role("heading", name="new + name")).to_be_visible()
    [entry] = s3.list_objects_v2(Bucket=bucket.name)["Contents"]
    assert entry["Key"] == name[: name.removesuffix("/").rfind("/") + 1] + "new + name"
    page.get_by_role("button", name="More").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.get_by_role("button", name="Delete 1 object").click()
    expect(page.get_by_role("grid")).to_be_visible()
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket.name)


def test_what_no_address_can_have_can_be_renamed(page: Page, console: Console, bucket: Path, s3: Any) -> None:
    (bucket / "a").mkdir()
    (bucket / "a" / ".zs3=..").write_text("dots")
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket.name)["Contents"]] == ["a/.."]
    page.goto(console.browse(bucket.name, "a/"))
    page.get_by_role("link", name="..", exact=True).click()
    expect(page.get_by_text("No browser can ask for this name")).to_be_visible()
    page.get_by_role("button", name="Rename").click()
    page.get_by_label("New name").fill("dots")
    page.get_by_role("button", name="Rename", exact=True).last.click()
    expect(page.get_by_role("heading", name="dots")).to_be_visible()
    assert (bucket / "a" / "dots").read_text() == "dots"


def test_renaming_and_moving_keep_what_is_known_and_replace_nothing(
    page: Page, console: Console, bucket: Path, s3: Any
) -> None:
    s3.put_object(
        Bucket=bucket.name, Key="in/a.txt", Body=b"a", ContentType="text/x-a", CacheControl="max-age=5",
        Metadata={"colour": "blue"}, Tagging="kind=test",
    )  # fmt: skip
    (bucket / "in" / "b.txt").write_text("b")
    page.goto(console.browse(bucket.name, "in/"))
    choose(page, "a.txt", "Rename")
    page.get_by_label("New name").fill("b.txt")
    page.get_by_role("button", name="Rename", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("something is there by that name")
    page.get_by_role("button", name="Cancel").click()
    assert (bucket / "in" / "b.txt").read_text() == "b"

    page.goto(console.browse(bucket.name))
    choose(page, "in/", "Rename")
    page.get_by_label("New name").fill("out/deep")
    page.get_by_role("button", name="Rename", exact=True).click()
    expect(page.get_by_role("dialog")).not_to_be_visible()
    expect(page.get_by_role("link", name="out/")).to_be_visible()
    assert names(page) == ["out/"]
    page.get_by_role("checkbox", name="Select out/").check()
    page.get_by_role("button", name="Move", exact=True).click()
    page.get_by_label("In the folder").fill("moved")
    page.get_by_role("button", name="Move 2 objects").click()
    expect(page.get_by_role("dialog")).not_to_be_visible()
    expect(page.get_by_role("link", name="moved/")).to_be_visible()
    assert sorted(each["Key"] for each in s3.list_objects_v2(Bucket=bucket.name)["Contents"]) == [
        "moved/out/deep/a.txt",
        "moved/out/deep/b.txt",
    ]
    known = s3.head_object(Bucket=bucket.name, Key="moved/out/deep/a.txt")
    assert (known["ContentType"], known["CacheControl"], known["Metadata"]) == (
        "text/x-a",
        "max-age=5",
        {"colour": "blue"},
    )
    tags = s3.get_object_tagging(Bucket=bucket.name, Key="moved/out/deep/a.txt")["TagSet"]
    assert tags == [{"Key": "kind", "Value": "test"}]


def test_what_was_changed_meanwhile_is_not_moved_away(page: Page, console: Console, bucket: Path, s3: Any) -> None:
    for name in ("a.txt", "b.txt"):
        s3.put_object(Bucket=bucket.name, Key=name, Body=b"old")
    page.goto(console.browse(bucket.name))
    assert names(page) == ["a.txt", "b.txt"]
    # Before it is copied: nothing is done.
    s3.put_object(Bucket=bucket.name, Key="a.txt", Body=b"new")
    choose(page, "a.txt", "Rename")
    page.get_by_label("New name").fill("c.txt")
    page.get_by_role("button", name="Rename", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("changed meanwhile")
    page.get_by_role("button", name="Cancel").click()
    assert sorted(path.name for path in bucket.iterdir()) == ["a.txt", "b.txt"]

    # Between the copy and the deletion: what is new stays.
    def change(route: Route) -> None:
        (bucket / "b.txt").write_text("newer")
        route.continue_()

    page.route("**/*?delete=", change)
    choose(page, "b.txt", "Rename")
    page.get_by_label("New name").fill("d.txt")
    page.get_by_role("button", name="Rename", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("the original stays: it was changed meanwhile")
    assert ((bucket / "b.txt").read_text(), (bucket / "d.txt").read_text()) == ("newer", "old")


def test_folders_are_deleted_once_it_is_known_how_much_is_in_them(page: Page, console: Console, bucket: Path) -> None:
    (bucket / "logs").mkdir()
    for i in range(1200):
        (bucket / "logs" / f"{i}.log").write_text("x")
    (bucket / "kept.txt").write_text("kept")
    page.goto(console.browse(bucket.name))
    choose(page, "logs/", "Delete")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("1,200 objects, 1.2 kB in all")
    button = dialog.get_by_role("button", name="Delete 1,200 objects")
    expect(button).to_be_disabled()
    dialog.get_by_label("Type “delete” to go on").fill("delete")
    button.click()
    expect(page.get_by_role("status").filter(has_text="Deleted 1,200 objects.").first).to_be_visible()
    expect(page.get_by_role("link", name="logs/")).not_to_be_visible()
    assert names(page) == ["kept.txt"]
    assert not (bucket / "logs").exists()


def test_images_sounds_films_and_texts_are_shown(page: Page, console: Console, bucket: Path) -> None:
    (bucket / "image.png").write_bytes(png(40, 30))
    (bucket / "drawing.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20">'
        '<script>window.bad = 1</script><rect width="9" height="9"/></svg>'
    )
    with wave.open(str(bucket / "tone.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"".join(struct.pack("<h", int(9000 * math.sin(i / 3))) for i in range(80_000)))
    (bucket / "text.txt").write_text("Zeile\n" * 100_000)
    for name in ("image.png", "drawing.svg"):
        page.goto(console.object(bucket.name, name))
        image = page.get_by_role("img", name=f"Preview of {name}")
        expect(image).to_be_visible()
        until(page, "document.querySelector('img').naturalWidth > 0")
        assert urlsplit(str(image.get_attribute("src"))).port == console.daemon.plain.port
    assert page.evaluate("window.bad") is None

    ranges: list[str] = []
    page.on("request", lambda request: ranges.append(request.headers.get("range", "")))
    page.goto(console.object(bucket.name, "tone.wav"))
    until(page, "document.querySelector('audio')?.duration === 10")
    assert any(each.startswith("bytes=") for each in ranges)
    page.evaluate("document.querySelector('audio').currentTime = 8")
    until(page, "document.querySelector('audio').currentTime >= 8")

    page.goto(console.object(bucket.name, "text.txt"))
    expect(page.locator("figcaption")).to_contain_text("The first 262 kB of 600 kB")
    assert len(page.locator("pre").inner_text()) == 256 * 1024


def test_a_link_is_for_everybody_until_it_expires(page: Page, console: Console, bucket: Path) -> None:
    (bucket / "größe.txt").write_text("shared")
    page.goto(console.browse(bucket.name))
    choose(page, "größe.txt", "Share")
    link = page.get_by_label("Link")
    expect(page.get_by_label("Good for")).to_have_value(str(24 * 3600))
    url = link.input_value()
    assert "X-Amz-Expires=86400&" in url
    where = urlsplit(url)
    assert where.port == console.daemon.plain.port
    answer = fetch(console.daemon.plain, f"{where.path}?{where.query}")
    assert (answer.status, answer.body) == (200, b"shared")
    page.get_by_label("Good for").select_option("7 days")
    page.get_by_label("Save it as a file").check()
    url = link.input_value()
    assert "X-Amz-Expires=604800&" in url
    where = urlsplit(url)
    answer = fetch(console.daemon.plain, f"{where.path}?{where.query}")
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''gr%C3%B6%C3%9Fe.txt"
    assert fetch(console.daemon.plain, f"{where.path}?{where.query}x").status == 403


def test_several_files_are_downloaded(page: Page, console: Console, bucket: Path) -> None:
    for name in ("a.txt", "b.html"):
        (bucket / name).write_text(name)
    page.goto(console.browse(bucket.name))
    page.get_by_role("grid").focus()
    page.keyboard.press("Control+a")
    downloads: list[Any] = []
    page.on("download", lambda download: downloads.append(download))
    with page.expect_download(lambda download: download.suggested_filename == "b.html"):
        page.get_by_role("toolbar").get_by_role("button", name="Download").click()
    assert {each.suggested_filename: Path(each.path()).read_text() for each in downloads} == {
        "a.txt": "a.txt",
        "b.html": "b.html",
    }


def test_versions_are_listed_restored_and_removed(page: Page, console: Console, bucket: Path, s3: Any) -> None:
    page.goto(console.url(f"#/s/{bucket.name}/general"))
    page.get_by_role("switch", name="Keep versions").click()
    expect(page.get_by_role("switch", name="Keep versions")).to_be_checked()
    for content in (b"one", b"two"):
        s3.put_object(Bucket=bucket.name, Key="note.txt", Body=content)
    page.goto(console.object(bucket.name, "note.txt"))
    expect(page.locator("pre")).to_have_text("two")
    versions = page.get_by_role("row").filter(has=page.get_by_role("link"))
    expect(versions).to_have_count(2)
    versions.nth(1).get_by_role("button").click()
    page.get_by_role("menuitem", name="Restore").click()
    page.get_by_role("dialog").get_by_role("button", name="Restore").click()
    expect(page.locator("pre")).to_have_text("one")
    expect(versions).to_have_count(3)

    page.goto(console.browse(bucket.name))
    choose(page, "note.txt", "Delete")
    expect(page.get_by_role("dialog")).to_contain_text("This bucket keeps versions")
    page.get_by_role("button", name="Delete 1 object").click()
    expect(page.get_by_text("Nothing here yet")).to_be_visible()
    page.goto(console.url(f"#/v/{bucket.name}/"))
    marker = page.get_by_role("row").filter(has_text="delete marker")
    marker.get_by_role("button").click()
    page.get_by_role("menuitem", name="Remove the marker").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove the marker").click()
    expect(marker).to_have_count(0)
    assert s3.get_object(Bucket=bucket.name, Key="note.txt")["Body"].read() == b"one"
    versions.nth(2).get_by_role("button").click()
    page.get_by_role("menuitem", name="Remove for good").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove for good").click()
    expect(versions).to_have_count(2)
    assert len(s3.list_object_versions(Bucket=bucket.name)["Versions"]) == 2


def test_all_versions_are_removed_at_once_and_the_bucket_goes(page: Page, console: Console, s3: Any) -> None:
    s3.create_bucket(Bucket="to-be-purged")
    s3.put_bucket_versioning(Bucket="to-be-purged", VersioningConfiguration={"Status": "Enabled"})
    for key in ("a", "a", "a", "b/c", "b/c", "gone"):
        s3.put_object(Bucket="to-be-purged", Key=key, Body=b"x")
    s3.delete_object(Bucket="to-be-purged", Key="gone")
    page.goto(console.url("#/s/to-be-purged/general"))
    page.get_by_role("button", name="Delete the bucket").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete the bucket").click()
    page.get_by_role("link", name="on the page of its versions").click()
    page.get_by_role("button", name="Remove versions").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("4 older versions, 4 bytes in all")
    button = dialog.get_by_role("button", name="Remove 4 versions")
    expect(button).to_be_disabled()
    dialog.get_by_label("Type “remove” to go on").fill("remove")
    button.click()
    expect(page.get_by_role("status").filter(has_text="Removed 4 versions.").first).to_be_visible()
    left = s3.list_object_versions(Bucket="to-be-purged")
    assert [each["Key"] for each in left["Versions"]] == ["a", "b/c"]
    assert [each["Key"] for each in left["DeleteMarkers"]] == ["gone"]

    page.get_by_role("button", name="Remove versions").click()
    dialog.get_by_role("checkbox", name="The current ones, too").check()
    dialog.get_by_label("Type “remove” to go on").fill("remove")
    dialog.get_by_role("button", name="Remove 3 versions").click()
    expect(page.get_by_text("Nothing here")).to_be_visible()
    page.goto(console.url("#/s/to-be-purged/general"))
    page.get_by_role("button", name="Delete the bucket").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete the bucket").click()
    expect(page.get_by_role("heading", name="Buckets", exact=True)).to_be_visible()
    assert not (console.daemon.data / "to-be-purged").exists()


def test_tags_of_an_object_are_edited(page: Page, console: Console, bucket: Path, s3: Any) -> None:
    s3.put_object(Bucket=bucket.name, Key="a", Body=b"a", Tagging="old=1", Metadata={"colour": "dark blue"})
    page.goto(console.object(bucket.name, "a"))
    expect(page.get_by_role("region", name="Metadata")).to_contain_text("dark blue")
    expect(page.get_by_role("region", name="Details")).to_contain_text("Checksum CRC32")
    tags = page.get_by_role("region", name="Tags")
    tags.get_by_role("button", name="Add a tag").click()
    tags.get_by_label("Name of tag 2").fill("old")
    tags.get_by_label("Value of tag 2").fill("b & c")
    expect(tags.get_by_role("alert")).to_contain_text("same name")
    expect(tags.get_by_role("button", name="Save the tags")).to_be_disabled()
    tags.get_by_label("Name of tag 2").fill("new")
    expect(tags.get_by_role("alert")).to_contain_text("“b & c”")
    tags.get_by_label("Value of tag 2").fill("b = c")
    tags.get_by_role("button", name="Save the tags").click()
    expect(tags.get_by_role("button", name="Save the tags")).not_to_be_visible()
    saved = s3.get_object_tagging(Bucket=bucket.name, Key="a")["TagSet"]
    assert {each["Key"]: each["Value"] for each in saved} == {"old": "1", "new": "b = c"}


@pytest.mark.timeout(300)
def test_a_hundred_thousand_keys_are_browsed_without_a_pause(open_page: Open, console: Console, bucket: Path) -> None:
    count = 100_000
    for i in range(count):
        os.close(os.open(bucket / f"key-{i:06}", os.O_CREAT))
    page = open_page(viewport={"width": 1200, "height": 800})
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if "list-type=2" in request.url else None)
    sign_in(page, console, ADMIN)
    page.evaluate(LONGEST_PAUSE)
    page.evaluate("url => { location.href = url }", console.browse(bucket.name))
    expect(page.get_by_role("link", name="key-000000")).to_be_visible()
    assert len(asked) == 1
    grid = page.get_by_role("grid")
    expect(grid).to_have_attribute("aria-rowcount", "-1")
    # The end is where the next page begins, until there is none.
    grid.focus()
    status = page.locator(".status-line")
    while (loaded := status.inner_text()) != "100,000 entries":
        page.keyboard.press("End")
        expect(status).not_to_have_text(loaded)
    expect(status).to_have_text("100,000 entries")
    page.keyboard.press("End")
    expect(row(page, "key-099999")).to_have_attribute("aria-rowindex", str(count + 1))
    assert grid.get_attribute("aria-rowcount") == str(count + 1)
    # What is in the document is what is in sight.
    assert page.locator("[role=row]").count() < 60
    # By far most of the time is the browser's own; a pause that people feel is longer.
    assert page.evaluate("window.longest") < 1000
    page.keyboard.press("Home")
    expect(row(page, "key-000000")).to_be_visible()
    # A letter goes to the field, and the server finds what begins so.
    page.keyboard.type("key-0777")
    expect(status).to_have_text("100 entries")
    expect(page.get_by_role("link", name="key-077700")).to_be_visible()
