"""The assembly of the console from its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress

from zs3.auth.credentials import UsersFileChecker
from zs3.console.api import ConsoleRealm, Surroundings
from zs3.console.files import read_files
from zs3.console.origins import S3Origin
from zs3.console.resources import Console
from zs3.errors import S3Error
from zs3.health import IO_ERROR, Health
from zs3.store.diskspace import NOT_THERE, NOT_WRITABLE
from zs3.web.guard import S3Guard
from zs3.web.resources import Realm

#: What makes the guard of a realm.
MakeGuard = Callable[..., S3Guard]


def make_console(
    make_guard: MakeGuard,
    checkers: Sequence[Any],
    store: Any,
    hop: Callable[..., Deferred[Any]],
    *,
    health: Health,
    read_only: bool,
    s3_url: str | None,
    places: Callable[[], Sequence[tuple[str, IAddress]]],
) -> Console:
    """The root of the console's tree.

    :param checkers: of the portal; the first of them knows the users.
    :param store: an `IStore`.
    :param hop: runs a function in a thread; fires with its result.
    :param read_only: whether nothing may be written to the data directory.
    :param s3_url: the origin of S3, if the administrator said it.
    :param places: gives where S3 is served: (as the user wrote it, the address).
    :raises ValueError: the package was installed without the files of the page.
    """
    users = checkers[0]
    origin = S3Origin(s3_url, lambda: _ports(places()))
    surroundings = Surroundings(
        hop,
        users.path if isinstance(users, UsersFileChecker) else None,
        origin,
        partial(disk_use, health, read_only),
    )
    # Its pages are of its own origin, whatever the rules of a bucket say of others.
    make_guard = partial(make_guard, domains=(), cross_origin=False)
    return Console(
        make_guard(Portal(Realm(store, users), checkers)),
        make_guard(Portal(ConsoleRealm(store, users, surroundings), checkers)),
        read_files(),
        origin,
    )


def _ports(places: Sequence[tuple[str, IAddress]]) -> list[tuple[bool, int]]:
    """(whether it is TLS, the port) of the places that a browser can reach itself."""
    found = []
    for description, address in places:
        kind = description.partition(":")[0]
        port = getattr(address, "port", None)
        if port is not None and kind != "haproxy":
            found.append((kind in ("ssl", "tls"), port))
    return found


async def disk_use(health: Health, read_only: bool) -> Mapping[str, object]:
    """How full the file system of the data directory is, and whether it can be relied on.

    :raises S3Error: ServiceUnavailable: it does not answer.
    """
    report = await health.check()
    disk = report.disk
    if disk is None:
        raise S3Error("ServiceUnavailable", "The disk does not answer.")
    return {
        "total": disk.size,
        "free": disk.available,
        "inodes": disk.inodes,
        "inodes_free": disk.inodes_available,
        "read_only": read_only or report.problem == NOT_WRITABLE,
        "healthy": report.problem not in (IO_ERROR, NOT_THERE),
    }
