"""The examination of a data directory: all checks, in the order in which they are told.

Blocking, for a few seconds.  A probe that fails is a finding, and does not stop
the others.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Iterator
from contextlib import suppress

from zs3.doctor import (
    buckets,
    certificate,
    clock,
    filesystem,
    latency,
    limits,
    mounts,
    names,
    permissions,
    scratch,
    software,
)
from zs3.doctor.findings import Finding, note, ok, problem, warning
from zs3.store import paths

_PROBES = (*filesystem.PROBES, *names.PROBES, *latency.PROBES, ("clock.filesystem", clock.of_filesystem))


def examine(
    data: str, *, users_file: str | None = None, certificate_file: str | None = None, key_file: str | None = None
) -> Generator[Finding, None, None]:
    """What there is to say of a data directory and of what surrounds it.

    :param data: an absolute path of a directory, be it that no daemon was started there yet.
    :param users_file: of `--auth zs3:FILE`; by default what is in the directory.
    :param certificate_file: a PEM file, or a directory of them; by default what is in the directory, if any.
    :param key_file: the private key, if it is in a file of its own.
    :returns: the findings as they are made.  Whoever does not take all of them closes it: it may have a directory open
        that is to be removed.
    """
    path = os.fsencode(data)
    yield from software.examine()
    yield from permissions.examine(data, users_file)
    yield from mounts.examine(path)
    yield from _buckets(path)
    yield from _probe(path)
    yield from clock.examine()
    yield from limits.examine()
    yield from _certificate(data, certificate_file, key_file)


def _probe(data: bytes) -> Iterator[Finding]:
    """What can be found out by trying, where one may try."""
    try:
        with scratch.made(data) as place:
            for check, probe in _PROBES:
                try:
                    finding = probe(place)
                except OSError as error:
                    finding = _failed(check, error)
                yield finding
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            advice = "run this as a user who may write there, to have the file system probed"
            fact = f"nothing can be written here ({_reason(error)}): the file system was not probed"
            yield note("filesystem.probes", fact, advice, probed=False)
            yield from _look(data)
        else:
            yield problem(
                "filesystem.probes", f"nothing can be written here: {_reason(error)}", "make room, or check the disk"
            )


def _failed(check: str, error: OSError) -> Finding:
    """What there is to say of a probe that could not be made."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        fact = f"this could not be tried: {_reason(error)}"
        return warning(check, fact, "make room, or raise the quota, and run this again")
    return problem(check, f"this failed: {_reason(error)}", "see the log of the kernel (dmesg)")


def _look(data: bytes) -> Iterator[Finding]:
    """What can be found out without writing."""
    with suppress(OSError), paths.opened(os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as fd:
        yield filesystem.quick_reads_in(fd)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _buckets(data: bytes) -> Iterator[Finding]:
    try:
        yield from buckets.examine(data, mounts.mounts())
    except OSError as error:
        yield problem(
            "buckets.trouble", f"the buckets cannot be looked at: {_reason(error)}", "let this user read the directory"
        )


def _certificate(data: str, path: str | None, key_path: str | None) -> Iterator[Finding]:
    if path is None:
        path = os.path.join(data, ".zs3", "tls", "server.pem")
        try:
            os.lstat(path)
        except FileNotFoundError:
            yield ok(
                "certificate.file", "there is none in the directory; --certificate FILE looks at another", file=None
            )
            return
        except OSError as error:
            advice = "run this as the user of the daemon"
            yield note("certificate.file", f"{path}: {_reason(error)}", advice, file=path)
            return
    yield from certificate.examine(path, key_path)
