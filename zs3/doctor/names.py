"""Which names a file system takes, and whether it keeps those apart that S3 does.

Blocking.
"""

from __future__ import annotations

import errno
import os
import unicodedata
from collections.abc import Sequence
from contextlib import suppress

from zs3.doctor.filesystem import Probe
from zs3.doctor.findings import Finding, ok, problem, warning
from zs3.doctor.scratch import Scratch
from zs3.store import paths

_NAME_MAX = 255
#: More than PATH_MAX in all.
_DEPTH, _LONG = 20, b"d" * 250
#: What some file systems do not let into a name, or not at the end of one.
_ODD = ('"', "*", ":", "<", ">", "?", "\\", "|", "\x01", "end.", "end ", "\N{PILE OF POO}")


def case(scratch: Scratch) -> Finding:
    """Whether upper and lower case are kept apart."""
    if _are_one(scratch, "CaseProbe", "caseprobe") or _are_one(scratch, "STRAẞE", "straße"):
        return problem(
            "filesystem.case",
            "upper and lower case are not told apart: keys that differ in nothing else overwrite each other",
            "use a file system or folder that tells them apart (ext4: chattr -F on an empty one; not vfat or exfat)",
            folds=True,
        )
    return ok("filesystem.case", "upper and lower case are told apart", folds=False)


def unicode(scratch: Scratch) -> Finding:
    """Whether names stay as they are, and composed and decomposed letters are kept apart."""
    check = "filesystem.unicode"
    composed = "caf\N{LATIN SMALL LETTER E WITH ACUTE}"
    decomposed = unicodedata.normalize("NFD", composed)
    folds = _are_one(scratch, composed, decomposed)
    with scratch.file(decomposed.encode()):
        changes = decomposed.encode() not in os.listdir(scratch.path)
    if folds or changes:
        return problem(
            check,
            "names are normalised (Unicode): keys overwrite each other, or are listed by another name",
            "use a file system or mount that takes names as they are (zfs: normalization=none; ext4: chattr -F)",
            folds=folds,
            changes=changes,
        )
    return ok(check, "names are kept as they are (Unicode)", folds=False, changes=False)


def characters(scratch: Scratch) -> Finding:
    """Characters that not every file system takes."""
    refused = [name for name in _ODD if not _keeps(scratch, name.encode())]
    if refused:
        return warning(
            "filesystem.characters",
            f"names cannot have {' '.join(map(ascii, refused))}: keys with these are refused or changed",
            "use a Linux file system (on CIFS the option mapposix helps), or keys without them",
            refused=refused,
        )
    return ok("filesystem.characters", "names can have every character", refused=[])


def name_length(scratch: Scratch) -> Finding:
    """The longest name, and paths beyond PATH_MAX."""
    check = "filesystem.name-length"
    longest = _NAME_MAX
    while longest > 1 and not _keeps(scratch, b"n" * longest):
        longest -= 1
    deep = _takes_deep_paths(scratch)
    values = {"name_max": longest, "beyond_path_max": deep}
    if longest < _NAME_MAX:
        return warning(
            check,
            f"a name has at most {longest} bytes: keys with longer parts between two / are refused",
            "use a file system with names of 255 bytes, or shorter keys",
            **values,
        )
    if not deep:
        return warning(
            check,
            "deep directories cannot be entered: keys with very many / are refused",
            "use another file system, or keys with fewer /",
            **values,
        )
    return ok(check, f"names of {longest} bytes and paths of more than 4096", **values)


def _takes_deep_paths(scratch: Scratch) -> bool:
    at = os.dup(scratch.fd)
    try:
        for _ in range(_DEPTH):
            os.mkdir(_LONG, dir_fd=at)
            below = os.open(_LONG, paths.DIRECTORY | os.O_CLOEXEC, dir_fd=at)
            os.close(at)
            at = below
        with paths.opened(paths.open_below(scratch.fd, [_LONG] * _DEPTH, paths.DIRECTORY)) as bottom:
            return os.path.samestat(os.fstat(bottom), os.fstat(at))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        return False
    finally:
        os.close(at)


def _are_one(scratch: Scratch, made: str, looked_for: str) -> bool:
    try:
        with scratch.file(made.encode()):
            return os.path.lexists(scratch.at(looked_for.encode()))
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EILSEQ):
            raise
        # Not even to be had: told elsewhere.
        return False


def _keeps(scratch: Scratch, name: bytes) -> bool:
    """Whether a file can have a name, and is listed by it."""
    found: Sequence[bytes] = ()
    with suppress(OSError), scratch.file(name):
        found = os.listdir(scratch.path)
    return name in found


#: All probes here.
PROBES: tuple[tuple[str, Probe], ...] = (
    ("filesystem.case", case),
    ("filesystem.unicode", unicode),
    ("filesystem.characters", characters),
    ("filesystem.name-length", name_length),
)
