"""The buckets of a data directory: where they are, and whether files can be renamed into them.

Blocking.  Looks, and writes nothing.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import struct
from collections.abc import Iterator

from zs3.doctor.findings import Finding, note, ok, problem, warning
from zs3.doctor.mounts import Mount
from zs3.store import kernel, paths
from zs3.store.buckets import Buckets, is_name
from zs3.store.durability import Durability

# ioctl_xfs_fsgetxattr(2): flags, extent size, extents, project, extent size for copies
_GET_XATTR = 0x801C581F
_FSXATTR = struct.Struct("=IIIII8x")
_INHERITS_PROJECT = 0x200
#: What `mkfs.ext4` makes; nobody takes it for a bucket.
_LOST = "lost+found"
#: How many of many names are told.
_NAMED = 5
# ioctl_iflags(2)
_GET_FLAGS = 0x80086601
_FOLDS_CASE = 0x40000000


def examine(data: bytes, mounts: list[Mount]) -> Iterator[Finding]:
    """The buckets, of which those that are as usual are only counted."""
    troubles: list[str] = []
    known = Buckets(data, Durability(enabled=False, report=troubles.append), directory_mode=0o700)
    others: list[str] = []
    count = 0
    with paths.opened(os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as root:
        for name, path in known.directories(troubles.append):
            if name == _LOST:
                continue
            if not is_name(name):
                others.append(name)
                continue
            count += 1
            try:
                with paths.opened(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as fd:
                    yield from _examine(root, name, fd, stat.S_ISLNK(os.lstat(path).st_mode))
            except OSError as error:
                troubles.append(f"the bucket {name!r} cannot be opened: {error.strerror}")
    if others:
        yield _no_buckets(others)
    for trouble in troubles:
        yield warning(
            "buckets.trouble", trouble, "look whether it is mounted, and whether the daemon's user may enter it"
        )
    yield from _dangling(data)
    yield from _minio(data)
    yield from _deep_mounts(data, mounts)
    yield ok(
        "buckets.count", f"{count} bucket{'' if count == 1 else 's'}", buckets=count, other_directories=len(others)
    )


def _no_buckets(names: list[str]) -> Finding:
    names = sorted(names)
    some = ", ".join(map(repr, names[:_NAMED])) + (" and others" if len(names) > _NAMED else "")
    return note(
        "buckets.name",
        f"{len(names)} director{'y is no bucket' if len(names) == 1 else 'ies are no buckets'}: {some}",
        "rename what is to be one: a bucket's name has letters, digits and . _ -, and begins with one of the former",
        names=[each.encode("utf-8", "replace").decode() for each in names],
    )


def _examine(root: int, name: str, fd: int, is_link: bool) -> Iterator[Finding]:
    values = {"bucket": name, "symlink": is_link, "mount": kernel.mount_id(fd) != kernel.mount_id(root)}
    where = "a symbolic link" if is_link else "a mount point" if values["mount"] else ""
    if can_rename(root, fd):
        if is_link:
            yield ok(
                "buckets.elsewhere", f"the bucket {name} is {where}, within the same mount", staged="data", **values
            )
    elif os.access(f"/proc/self/fd/{fd}", os.W_OK | os.X_OK):
        where = where or "in another project (quota)"
        fact = f"the bucket {name} is {where}: what is written to it is prepared in its own .zs3"
        yield ok("buckets.elsewhere", fact, staged="bucket", **values)
    else:
        where = where or "in another project (quota)"
        advice = f"to write, the daemon's user needs the right to write to the top of {name}: chown it, or setfacl"
        fact = f"the bucket {name} is {where} that this user cannot write to: it is served for reading"
        yield warning("buckets.elsewhere", fact, advice, staged=None, **values)
    if _flags(fd) & _FOLDS_CASE:
        yield problem(
            "buckets.case",
            f"the bucket {name} does not tell upper and lower case apart: such keys overwrite each other",
            "make a new folder without chattr +F and move everything there",
            bucket=name,
        )


def can_rename(root: int, fd: int) -> bool:
    """Whether a file can be renamed from one open directory to another: both are in one mount and one project.

    Trying would change the directory, and when a bucket was made is told by its time.
    """
    if kernel.mount_id(root) != kernel.mount_id(fd):
        return False
    inherits, project = _project(fd)
    return not inherits or project == _project(root)[1]


def _project(fd: int) -> tuple[bool, int]:
    """Whether what is made in an open directory is of its project, and which that is."""
    try:
        flags, _, _, project, _ = _FSXATTR.unpack(fcntl.ioctl(fd, _GET_XATTR, bytes(_FSXATTR.size)))
    except OSError:
        return False, 0
    return bool(flags & _INHERITS_PROJECT), project


def _flags(fd: int) -> int:
    try:
        flags: int = struct.unpack_from("I", fcntl.ioctl(fd, _GET_FLAGS, bytes(8)))[0]
    except OSError as error:
        if error.errno not in (errno.ENOTTY, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES):
            raise
        return 0
    return flags


def _dangling(data: bytes) -> Iterator[Finding]:
    with os.scandir(data) as entries:
        for entry in entries:
            name = os.fsdecode(entry.name)
            if is_name(name) and entry.is_symlink() and not os.path.exists(entry.path):
                target = os.fsdecode(os.readlink(entry.path))
                fact = f"the symbolic link {name} leads nowhere ({target}): there is no such bucket"
                yield warning("buckets.link", fact, "mount what it leads to, or remove the link", bucket=name)


def _minio(data: bytes) -> Iterator[Finding]:
    """What MinIO left here, and how (its `format.json`)."""
    try:
        with open(os.path.join(data, b".minio.sys", b"format.json"), "rb") as file:
            kind = json.loads(file.read(1 << 16))["format"]
    except (OSError, ValueError, LookupError, TypeError):
        return
    if kind == "fs":
        yield note(
            "buckets.minio",
            "MinIO served this in its file system mode: the objects are served, and what MinIO knew of them is not",
            "to keep content types and user metadata, see Moving in, in the manual",
            format="fs",
        )
    else:
        yield problem(
            "buckets.minio",
            "MinIO keeps its objects here in a format of its own: what is served are its internal files",
            "start MinIO on it and copy over S3, see Moving in, in the manual",
            format=str(kind),
        )


def _deep_mounts(data: bytes, mounts: list[Mount]) -> Iterator[Finding]:
    top = os.fsdecode(os.path.realpath(data)).rstrip("/") + "/"
    for mount in mounts:
        bucket, slash, rest = mount.point.removeprefix(top).partition("/")
        if mount.point.startswith(top) and slash and rest and not bucket.startswith("."):
            yield warning(
                "buckets.mounts",
                f"{mount.point} is a mount point within a bucket: keys below it can be read but not written",
                f"mount it as a bucket of its own, in {top}",
                point=mount.point,
                bucket=bucket,
            )
