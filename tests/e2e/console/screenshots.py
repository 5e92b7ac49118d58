"""Makes the pictures of docs/console.rst, with a daemon of its own.

Usage: python -m tests.e2e.console.screenshots [DIRECTORY]
"""

from __future__ import annotations

import math
import os
import struct
import sys
import tempfile
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e.console.conftest import launched
from tests.e2e.console.pages import ADMIN, Console, sign_in, upload
from tests.e2e.daemon import REGION, Daemon, running

#: Everything in the pictures is of this time.
WHEN = datetime(2026, 11, 28, 17, 5, 9, tzinfo=UTC)
DESKTOP = {"width": 1120, "height": 700}
PHONE = {"width": 390, "height": 780}

USERS = f"""\
[users.ann]
role = "admin"

[[users.ann.keys]]
access_key = "{ADMIN.access_key}"
secret_key = "{ADMIN.secret_key}"
created = 2026-10-02T08:00:00Z

[users.camera]
role = "writer"
buckets = ["photos"]

[[users.camera.keys]]
access_key = "CAMERA1"
secret_key = "secret-of-the-camera-1"
created = 2026-10-04T09:30:00Z

[[users.camera.keys]]
access_key = "CAMERA2"
secret_key = "secret-of-the-camera-2"
created = 2026-11-20T18:00:00Z
enabled = false

[users.guest]
access_key = "GUEST"
secret_key = "secret-of-the-guest"
role = "reader"
enabled = false
"""


def landscape(width: int, height: int, shift: float) -> bytes:
    """A picture of hills, as PNG with few colours."""

    def colour(x: float, y: float) -> int:
        for i in range(4):
            if y > 0.86 - 0.1 * i + 0.05 * math.sin((5 + 3 * i) * x + shift + 2 * i):
                return i
        return 4 + int(y * 40)

    rows = b"".join(b"\0" + bytes(colour(x / width, y / height) for x in range(width)) for y in range(height))
    hills = [(28, 61, 62), (52, 94, 88), (92, 133, 121), (139, 170, 155)]
    sky = [(255 - 2 * i, 214 - i, 170 + i) for i in range(44)]
    palette = b"".join(bytes(each) for each in hills + sky)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    pixels = chunk(b"PLTE", palette) + chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + pixels + chunk(b"IEND", b"")


def fill(data: Path) -> None:
    """What somebody may have at home."""
    for name in ("backups", "documents", "music", "photos"):
        (data / name).mkdir(parents=True)
    alps = data / "photos" / "2026" / "alps"
    alps.mkdir(parents=True)
    for i, name in enumerate(("arrival.png", "evening.png", "lake.png", "ridge.png", "summit.png", "valley.png")):
        (alps / name).write_bytes(landscape(960, 540, i))
    (alps / "route.gpx").write_text("<gpx/>\n" * 3000)
    (alps / "notes.txt").write_text("Day 1: up to the hut, in the rain.\nDay 2: the ridge, and sun at last.\n")
    (alps / "film.mp4").write_bytes(bytes(48_300_000))
    for year in ("2024", "2025"):
        (data / "photos" / year).mkdir()
        (data / "photos" / year / "cover.png").write_bytes(b"")
    for name, size in (("2026-11-27.tar", 900_000), ("2026-11-28.tar", 912_000)):
        (data / "backups" / name).write_bytes(bytes(size))
    for directory, _, files in os.walk(data, topdown=False):
        for name in files:
            seconds = int(WHEN.timestamp()) - 3600 * len(name)
            os.utime(Path(directory, name), (seconds, seconds))
        os.utime(directory, (WHEN.timestamp(), WHEN.timestamp()))


def prepare(daemon: Daemon) -> None:
    session = boto3.session.Session(ADMIN.access_key, ADMIN.secret_key, region_name=REGION)
    s3: Any = session.client("s3", endpoint_url=daemon.plain.url)
    s3.put_bucket_versioning(Bucket="documents", VersioningConfiguration={"Status": "Enabled"})
    for text in ("Draft", "Second draft", "Letter"):
        s3.put_object(
            Bucket="documents", Key="letter.txt", Body=f"{text}: dear all, ...\n".encode(), ContentType="text/plain",
            Metadata={"author": "ann"}, Tagging="state=final&for=everybody",
        )  # fmt: skip
    s3.put_object(Bucket="documents", Key="old plan.txt", Body=b"A plan.\n", ContentType="text/plain")
    s3.delete_object(Bucket="documents", Key="old plan.txt")
    rule = {
        "ID": "old-backups",
        "Status": "Enabled",
        "Filter": {"Prefix": "daily/"},
        "Expiration": {"Days": 30},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 7, "NewerNoncurrentVersions": 3},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2},
    }
    s3.put_bucket_lifecycle_configuration(Bucket="backups", LifecycleConfiguration={"Rules": [rule]})
    s3.close()


class Album:
    """Takes the pictures."""

    def __init__(self, browser: Browser, console: Console, directory: Path) -> None:
        self.browser, self.console, self.directory = browser, console, directory

    def open(self, colours: str = "light", **more: Any) -> Page:
        options = {"viewport": DESKTOP, "locale": "en-GB", "timezone_id": "UTC", "reduced_motion": "reduce"} | more
        page = self.browser.new_context(color_scheme=colours, **options).new_page()  # type: ignore[arg-type]
        sign_in(page, self.console, ADMIN)
        return page

    def take(self, page: Page, name: str) -> None:
        expect(page.locator(".spinner")).to_have_count(0)
        page.wait_for_load_state("networkidle")
        path = self.directory / f"console-{name}.png"
        page.screenshot(path=path)
        print(f"{path}: {path.stat().st_size // 1000} kB")
        assert path.stat().st_size < 100_000, path

    def at(self, page: Page, fragment: str, name: str) -> None:
        page.goto(self.console.url(fragment))
        self.take(page, name)


def take_all(album: Album, home: Path) -> None:
    console = album.console
    page = album.browser.new_context(viewport=DESKTOP).new_page()  # type: ignore[arg-type]
    page.goto(console.url())
    album.take(page, "sign-in")

    page = album.open()
    album.at(page, "#/buckets", "buckets")
    page.goto(console.browse("photos", "2026/alps/"))
    expect(page.get_by_role("link", name="lake.png")).to_be_visible()
    page.get_by_role("checkbox", name="Select evening.png").click()
    page.get_by_role("checkbox", name="Select lake.png").click()
    album.take(page, "browse")
    page.goto(console.object("photos", "2026/alps/lake.png"))
    expect(page.get_by_role("img")).to_be_visible()
    album.take(page, "object")
    page.get_by_role("button", name="Share").click()
    album.take(page, "share")

    page = album.open()
    page.goto(console.browse("music"))
    (home / "concert.flac").write_bytes(os.urandom(64_000_000))
    (home / "cover.png").write_bytes(landscape(200, 200, 2))
    page.route("**/*partNumber=5&*", lambda route: None)
    upload(page, home / "cover.png", home / "concert.flac")
    expect(page.get_by_role("link", name="cover.png")).to_be_visible()
    page.wait_for_timeout(1500)
    album.take(page, "upload")

    page = album.open()
    page.goto(console.url("#/v/documents/"))
    page.get_by_role("button", name="Actions for the version").nth(2).click()
    expect(page.get_by_role("menuitem", name="Restore")).to_be_visible()
    album.take(page, "versions")
    album.at(page, "#/s/backups/lifecycle", "lifecycle")
    page.goto(console.url("#/s/photos/policy"))
    page.get_by_label("Begin with").select_option("Everybody may read objects")
    album.take(page, "policy")
    album.at(page, "#/s/documents/general", "settings")
    album.at(page, "#/users", "users")
    page.goto(console.url("#/disk"))
    page.get_by_role("button", name="Measure photos").click()
    album.take(page, "disk")

    page = album.open("dark")
    page.goto(console.browse("photos", "2026/alps/"))
    page.get_by_role("button", name="Actions for lake.png").click()
    album.take(page, "dark")
    page = album.open("dark", viewport=PHONE, has_touch=True, is_mobile=True)
    page.goto(console.browse("photos", "2026/alps/"))
    expect(page.get_by_role("link", name="lake.png")).to_be_visible()
    album.take(page, "phone-dark")
    page = album.open(viewport=PHONE, has_touch=True, is_mobile=True)
    page.goto(console.object("photos", "2026/alps/lake.png"))
    expect(page.get_by_role("img")).to_be_visible()
    album.take(page, "phone")


def main() -> None:
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[3] / "docs" / "images").resolve()
    directory.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        users = home / "users.toml"
        users.write_text(USERS)
        users.chmod(0o600)
        fill(home / "data")
        arguments = ["--console", Console.WHERE, "--auth", f"zs3:{users}"]
        with running(home, home / "data", *arguments) as daemon, sync_playwright() as playwright:
            prepare(daemon)
            with launched(playwright) as browser:
                take_all(Album(browser, Console(daemon), directory), home)


if __name__ == "__main__":
    main()
