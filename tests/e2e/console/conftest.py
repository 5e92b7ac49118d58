"""A daemon with a console, a Chromium, and pages in it that are watched all the time."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from tests.e2e.console.pages import ADMIN, LAN, Console, Watch, sign_in
from tests.e2e.daemon import REGION, running
from tests.e2e.test_cors import BROWSER

#: Milliseconds; only there so that a broken page fails a test instead of hanging it.
PATIENCE = 20_000
expect.set_options(timeout=PATIENCE)

USERS = f"""\
[users.admin]
access_key = "{ADMIN.access_key}"
secret_key = "{ADMIN.secret_key}"
role = "admin"

[users.camera]
access_key = "CAMERA"
secret_key = "secret-of-the-camera"
role = "writer"
buckets = ["nothing-else"]

[users.guest]
access_key = "GUEST"
secret_key = "secret-of-the-guest"
role = "reader"
"""


@contextmanager
def launched(playwright: Playwright) -> Iterator[Browser]:
    """A Chromium of the operating system."""
    options = ["--disable-background-networking", f"--host-resolver-rules=MAP {LAN} 127.0.0.1"]
    if os.getuid() == 0:
        options.append("--no-sandbox")  # it will not run as root with one
    # The path of its socket has to be short.
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        environment = {**os.environ, "TMPDIR": short, "HOME": short}
        browser = playwright.chromium.launch(executable_path=BROWSER, args=options, env=environment)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if BROWSER is None:
        pytest.skip("no Chromium is installed (an operating system's package, e.g. apt)")
    with sync_playwright() as playwright, launched(playwright) as browser:
        yield browser


@pytest.fixture(scope="session")
def console(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Console]:
    """The daemon that the tests share; those that end it start their own."""
    home = tmp_path_factory.mktemp("console")
    users = home / "users.toml"
    users.write_text(USERS)
    users.chmod(0o600)
    with running(home, home / "data", "--console", Console.WHERE, "--auth", f"zs3:{users}") as daemon:
        yield Console(daemon)


@pytest.fixture
def s3(console: Console) -> Iterator[Any]:
    """boto3 as the admin."""
    session = boto3.session.Session(ADMIN.access_key, ADMIN.secret_key, region_name=REGION)
    client = session.client("s3", endpoint_url=console.daemon.plain.url)
    yield client
    client.close()


@pytest.fixture
def bucket(console: Console, bucket: str) -> Iterator[Path]:
    """A bucket of this test's own: a directory."""
    path = console.daemon.data / bucket
    path.mkdir()
    yield path
    shutil.rmtree(path)


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, console: Console) -> Iterator[Open]:
    """Gives an empty page in a new context, with its options; what went wrong in any is told at the end."""
    made: list[tuple[BrowserContext, Watch]] = []

    def open_page(**options: Any) -> Page:
        context = browser.new_context(**{"accept_downloads": True, "reduced_motion": "reduce"} | options)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        made.append((context, Watch(page, console)))
        return page

    yield open_page
    for context, _ in made:
        context.close()
    for _, watch in made:
        watch.check()


@pytest.fixture
def page(open_page: Open, console: Console) -> Page:
    """A page in which the admin is signed in."""
    page = open_page()
    sign_in(page, console, ADMIN)
    return page
