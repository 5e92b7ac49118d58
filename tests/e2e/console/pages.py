"""What the tests of the console share: who signs in, where things are, and what must not happen on any page."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from playwright.sync_api import ConsoleMessage, Locator, Page, Request, expect

from tests.e2e.daemon import Daemon

#: A name that the browser of the tests takes for this machine, and that is not one of those that it trusts.
LAN = "nas.lan"


@dataclass(frozen=True)
class KeyPair:
    access_key: str
    secret_key: str


ADMIN = KeyPair("CONSOLEADMINKEY", "secret/of+the=admin-0123456789")
GUEST = KeyPair("GUEST", "secret-of-the-guest")


class Console:
    """A daemon, and its console."""

    #: Written in another way than the daemon's other endpoints, by which the log tells them apart.
    WHERE = "tcp:port=0:interface=127.0.0.1"

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    @property
    def port(self) -> int:
        return self.daemon.port_of(self.WHERE)

    def url(self, fragment: str = "", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}/{fragment}"

    def browse(self, bucket: str, prefix: str = "") -> str:
        return self.url(f"#/b/{bucket}/{quote(prefix, safe='/')}")

    def object(self, bucket: str, key: str) -> str:
        return self.url(f"#/o/{bucket}/{quote(key, safe='/')}")


class Watch:
    """Sees what a page does, and what the browser has to say about it."""

    #: What browsers write of every answer that is no success, and of a header that is for TLS only.
    _USUAL = ("Failed to load resource: ", "The Cross-Origin-Opener-Policy header has been ignored")

    def __init__(self, page: Page, console: Console) -> None:
        self._hosts = {
            f"{host}:{port}" for host in ("127.0.0.1", LAN) for port in (console.port, console.daemon.plain.port)
        }
        self._wrong: list[str] = []
        page.context.on("request", self._request)
        page.context.on("console", self._message)
        page.context.on("weberror", lambda error: self._wrong.append(f"uncaught: {error.error}"))

    def _request(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme != "blob" and url.netloc not in self._hosts:
            self._wrong.append(f"asks another host: {request.url}")

    def _message(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(self._USUAL):
            self._wrong.append(f"{message.type}: {message.text}")

    def check(self) -> None:
        """Nothing was run that should not, no policy was broken, and nobody else was asked."""
        assert not self._wrong, "\n".join(self._wrong)


def sign_in(page: Page, console: Console, who: KeyPair, host: str = "127.0.0.1") -> None:
    page.goto(console.url(host=host))
    give_keys(page, who)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Buckets", exact=True)).to_be_visible()


def give_keys(page: Page, who: KeyPair) -> None:
    page.get_by_label("Access key").fill(who.access_key)
    page.get_by_label("Secret key").fill(who.secret_key)


def names(page: Page) -> list[str]:
    """Of the rows in sight, in order, once the list is complete."""
    expect(page.locator(".status-line")).not_to_contain_text("so far")
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('[role=grid] [role=row][id]')]"
        ".sort((a, b) => a.ariaRowIndex - b.ariaRowIndex).map(row => row.querySelector('a').textContent)"
    )
    return found


def until(page: Page, expression: str) -> None:
    """Wait until it is true.  The policy of the page keeps Playwright from waiting for that in there."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{expression} did not become true")


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def choose(page: Page, name: str, action: str) -> None:
    """An action of the menu of an entry."""
    page.get_by_role("button", name=f"Actions for {name}", exact=True).click()
    page.get_by_role("menuitem", name=action, exact=True).click()


def upload(page: Page, *paths: Path) -> None:
    page.get_by_label("Files to upload").set_input_files(paths)


def png(width: int, height: int) -> bytes:
    """An image with a gradient."""
    rows = b"".join(
        b"\0" + b"".join(bytes((255 * x // width, 255 * y // height, 160)) for x in range(width)) for y in range(height)
    )

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
