"""What this process may use: open files, the size of a file, watches on directories.

Blocking; they are those of the shell that runs the examination, and a service
has its own.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator

from zs3.doctor.findings import Finding, note, ok, problem, size

_FEW_FILES = 4096
_FEW_WATCHES = 8192
_WATCHES = "/proc/sys/fs/inotify/max_user_watches"


def examine() -> Iterator[Finding]:
    """The limits of this process."""
    yield judge_files(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    yield judge_file_size(resource.getrlimit(resource.RLIMIT_FSIZE)[0])
    try:
        with open(_WATCHES, encoding="ascii") as file:
            watches = int(file.read())
    except (OSError, ValueError):
        return
    yield judge_watches(watches)


def judge_files(hard: int) -> Finding:
    """:param hard: how far the daemon may raise its limit of open files, as it does by itself."""
    check = "limits.files"
    if hard == resource.RLIM_INFINITY:
        return ok(check, "open files have no limit", limit=None)
    fact = f"{hard} files can be open at once, connections among them"
    if hard >= _FEW_FILES:
        return ok(check, fact, limit=hard)
    advice = "LimitNOFILE=65536 in the systemd unit, or nofile in /etc/security/limits.conf"
    if hard < 1024:
        return problem(check, fact, advice, limit=hard)
    return note(check, fact, advice, limit=hard)


def judge_file_size(soft: int) -> Finding:
    """:param soft: the most bytes that a file may have."""
    if soft == resource.RLIM_INFINITY:
        return ok("limits.file-size", "the size of files has no limit", limit=None)
    advice = "ulimit -f unlimited, or LimitFSIZE=infinity in the systemd unit"
    return problem("limits.file-size", f"no file can be larger than {size(soft)}", advice, limit=soft)


def judge_watches(watches: int) -> Finding:
    """:param watches: how many directories one user may watch with inotify."""
    check, fact = "limits.watches", f"{watches} directories can be watched (inotify)"
    if watches >= _FEW_WATCHES:
        return ok(check, fact, limit=watches)
    advice = "sysctl fs.inotify.max_user_watches=524288, if events are to tell of files that other programs change"
    return note(check, fact, advice, limit=watches)
