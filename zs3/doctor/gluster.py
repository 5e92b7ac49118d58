"""What a mount of GlusterFS remembers, and how it is replicated: it tells so itself, in its ``.meta``.

Blocking.  docs/clustering.rst says what each of these is needed for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress

from zs3.doctor.findings import Finding, note, ok, warning

KIND = "fuse.glusterfs"
#: The parts of a client that answer from what it remembers, or write later; and the options of the volume for them.
CACHES = {
    "md-cache": "performance.stat-prefetch",
    "quick-read": "performance.quick-read",
    "io-cache": "performance.io-cache",
    "open-behind": "performance.open-behind",
    "write-behind": "performance.write-behind",
    "read-ahead": "performance.read-ahead",
    "readdir-ahead": "performance.readdir-ahead",
    "nl-cache": "performance.nl-cache",
}
_TIMEOUTS = {"attribute-timeout": 1.0, "entry-timeout": 1.0, "negative-timeout": 0.0}
_PING_USUAL_S, _PING_LONG_S = 42, 10


def examine(point: str) -> Iterator[Finding]:
    """What there is to say of a mount.

    :param point: where it is.
    """
    graph = os.path.join(point, ".meta", "graphs", "active")
    try:
        parts = os.listdir(graph)
        command = _read(os.path.join(point, ".meta", "cmdline"))
    except OSError as error:
        yield note("mount.gluster-caches", f"the mount does not tell what it remembers: {error.strerror}", "see .meta")
        return
    yield judge_caches(parts, command)
    yield judge_replicas(graph, parts)


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def judge_caches(parts: list[str], command: str) -> Finding:
    """Whether what other hosts change is seen at once.

    :param parts: the names of the parts of the client: VOLUME-PART.
    :param command: with what it was started.
    """
    check = "mount.gluster-caches"
    caches = [name for name in CACHES if any(each.endswith(f"-{name}") for each in parts)]
    timeouts = dict(_TIMEOUTS)
    for name in timeouts:
        for found in re.findall(rf"--{name}[= \0]([\d.]+)", command):
            with suppress(ValueError):
                timeouts[name] = float(found)
    late = [name for name, seconds in timeouts.items() if seconds]
    values = {"caches": caches, "timeouts_s": timeouts}
    if not caches and not late:
        return ok(check, "nothing is remembered of what other hosts may change", **values)
    advice = [f"gluster volume set VOLUME {CACHES[each]} off" for each in caches]
    if late:
        advice.append(f"mount it with the options {','.join(f'{each}=0' for each in late)}")
    fact = f"what other hosts change is seen late, by {', '.join([*caches, *late])}: conditional writes may both win"
    return warning(check, fact, f"if zs3 on other hosts has the same volume: {'; '.join(advice)}", **values)


def judge_replicas(graph: str, parts: list[str]) -> Finding:
    """Whether a host that fails takes anything with it, and how long it stops the others."""
    check = "mount.gluster-replicas"
    pings, copies = [_PING_USUAL_S], 1
    for part in parts:
        options = os.path.join(graph, part, "options")
        with suppress(OSError, ValueError):
            if re.search(r"-client-\d+$", part):
                pings.append(int(_read(os.path.join(options, "ping-timeout"))))
            elif re.search(r"-replicate-\d+$", part):
                copies = _read(os.path.join(options, "afr-pending-xattr")).count(",") + 1
    ping = pings[-1]
    values = {"copies": copies, "ping_timeout_s": ping}
    fact = f"{copies} bricks have each file, and one that does not answer is waited for {ping} s"
    if copies < 3:
        advice = "replica 3, or replica 3 arbiter 1: two bricks cannot tell which of them is right"
        return warning(check, fact, advice, **values)
    if ping > _PING_LONG_S:
        advice = "gluster volume set VOLUME network.ping-timeout 5; all writes of all hosts wait so long"
        return note(check, fact, advice, **values)
    return ok(check, fact, **values)
