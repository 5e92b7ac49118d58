"""What the file system of the data directory can do, found out by doing it in a scratch directory.

Blocking.  Each probe leaves what it made to the removal of the scratch directory.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from zs3.doctor.findings import Finding, note, ok, problem, size, warning
from zs3.doctor.scratch import Scratch
from zs3.store import hot, kernel, paths, records

_ATTRIBUTE_MAX = 1 << 16
#: What the store puts into one at most.
_ATTRIBUTE_WANTED = 2048
# ioctl_ficlonerange(2) and its struct file_clone_range: fd, offset, length, offset in the target
_FICLONERANGE = 0x4020940D
_CLONE_RANGE = struct.Struct("@qQQQ")
_CLONED = 1 << 16
_RESERVED = 1 << 20
_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)
_LATE = 4_102_444_800  # 2100
#: Another process that tries to lock a file: 0, it could; 3, it was refused.
_LOCKER = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
try:
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, bytes.fromhex(sys.argv[2]))
except OSError:
    sys.exit(3)
"""

#: A probe of a scratch directory.
Probe = Callable[[Scratch], Finding]


def attributes(scratch: Scratch) -> Finding:
    """Extended attributes of files and directories: whether, how large, and whether a rename keeps them."""
    check = "filesystem.attributes"
    with scratch.file(b"attributes") as fd:
        if not records.keeps_attributes(fd) or not records.keeps_attributes(scratch.fd):
            return warning(
                check,
                "no extended attributes: what S3 knows of an object is in files of its own, which mv and cp do "
                "not take along",
                "mount it with extended attributes (option user_xattr), or use ext4, xfs, btrfs or zfs",
                largest=0,
            )
        largest = _largest_attribute(fd)
        os.setxattr(fd, records.ATTRIBUTE, b"probe")
        os.rename(scratch.at(b"attributes"), scratch.at(b"renamed"))
        with suppress(OSError):
            if os.getxattr(scratch.at(b"renamed"), records.ATTRIBUTE) == b"probe":
                if largest >= _ATTRIBUTE_WANTED:
                    return ok(check, f"attributes of up to {largest} bytes are kept", largest=largest)
                return note(
                    check,
                    f"attributes of up to {largest} bytes are kept: longer metadata is in files of its own, which "
                    "mv and cp do not take along",
                    f"use a file system with attributes of {_ATTRIBUTE_WANTED} bytes (ext4 with blocks of 4 KiB, xfs, "
                    "btrfs, zfs)",
                    largest=largest,
                )
    return problem(check, "a rename loses attributes", "use another file system", largest=largest)


def _largest_attribute(fd: int) -> int:
    """The most bytes that an attribute of an open file may have."""

    def fits(length: int) -> bool:
        try:
            os.setxattr(fd, records.ATTRIBUTE, b"x" * length)
        except OSError as error:
            if error.errno not in records.REFUSED:
                raise
            return False
        return True

    low, high = 1, _ATTRIBUTE_MAX
    if fits(high):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def reflink(scratch: Scratch) -> Finding:
    """Whether files can share blocks."""
    check = "filesystem.reflink"
    with scratch.file(b"source", os.urandom(_CLONED)) as source, scratch.file(b"target") as target:
        try:
            fcntl.ioctl(target, _FICLONERANGE, _CLONE_RANGE.pack(source, 0, _CLONED, 0))
        except OSError as error:
            if error.errno not in (*_UNSUPPORTED, errno.ENOTTY, errno.EXDEV):
                raise
            return note(
                check,
                "files cannot share blocks: joining the parts of an upload, and CopyObject, write the bytes again",
                "nothing needs to change; where uploads are large, xfs (mkfs.xfs -m reflink=1) or btrfs share them",
                works=False,
            )
        shared = os.pread(target, _CLONED, 0) == os.pread(source, _CLONED, 0)
    if not shared:
        return problem(check, "a clone of a file is not equal to it", "use another file system", works=False)
    return ok(check, "files can share blocks: joining the parts of an upload copies nothing", works=True)


def locks(scratch: Scratch) -> Finding:
    """Whether OFD locks exclude another descriptor of this process, and another process."""
    check = "filesystem.locks"
    advice = "without them writes fail or collide: on NFS mount without nolock and local_lock, on CIFS without nobrl"
    with scratch.file(b"lock") as fd, paths.opened(os.open(scratch.at(b"lock"), os.O_RDWR | os.O_CLOEXEC)) as other:
        try:
            kernel.try_lock(fd, 0, 1)
            within = not kernel.try_lock(other, 0, 1)
        except OSError as error:
            return problem(check, f"files cannot be locked: {error.strerror}", advice, threads=False, processes=False)
        path = f"/proc/{os.getpid()}/fd/{fd}"
        # Not by fork: who calls may have threads.
        command = [sys.executable, "-I", "-S", "-c", _LOCKER, path, kernel.write_lock(0, 1).hex()]
        ended = subprocess.run(command, check=False, timeout=30, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
        if ended.returncode not in (0, 3):
            why = "another process could not open the file to try its locks"
            return note(check, why, "run this as the user of the daemon", threads=within, processes=None)
        between = ended.returncode == 3
    if within and between:
        return ok(check, "locks exclude threads and processes", threads=True, processes=True)
    whom = " and ".join(name for name, excluded in (("threads", within), ("processes", between)) if not excluded)
    return problem(check, f"locks do not exclude {whom}", advice, threads=within, processes=between)


def links(scratch: Scratch) -> Finding:
    """Hard links, which versions are made with."""
    check = "filesystem.links"
    with scratch.file(b"linked") as fd:
        try:
            os.link(scratch.at(b"linked"), scratch.at(b"second"))
            works = os.fstat(fd).st_nlink == 2
        except OSError as error:
            if error.errno not in (*_UNSUPPORTED, errno.EACCES, errno.EMLINK):
                raise
            works = False
    if works:
        return ok(check, "files can have several names (hard links): versions cost no copy", works=True)
    return warning(
        check,
        "files cannot have several names (hard links): buckets cannot keep versions",
        "use a file system with hard links, unless no bucket is to keep versions",
        works=False,
    )


def renames(scratch: Scratch) -> Finding:
    """A rename that replaces, one that must not, and files without a name."""
    check = "filesystem.renames"
    with scratch.file(b"new", b"new"), scratch.file(b"old", b"old") as old:
        os.rename(scratch.at(b"new"), scratch.at(b"old"))
        with open(scratch.at(b"old"), "rb") as file:
            whole = file.read() == b"new" and os.pread(old, 3, 0) == b"old"
        unnamed = _has_unnamed_files(scratch)
        if not whole:
            return problem(
                check,
                "a rename does not replace a file whole: readers see what is not theirs",
                "use another file system",
                replaces=False,
                unnamed=unnamed,
            )
        with scratch.file(b"third"):
            new_only = _renames_new(scratch, b"third", b"old")
    if new_only:
        return ok(
            check, "renames replace files whole, or none if told so", replaces=True, new_only=True, unnamed=unnamed
        )
    return note(
        check,
        "a rename cannot be told to replace nothing: what another program makes at the same moment may be overwritten "
        "by If-None-Match: *",
        "let other programs write only where S3 clients do not, or use ext4, xfs, btrfs or tmpfs",
        replaces=True,
        new_only=False,
        unnamed=unnamed,
    )


def _renames_new(scratch: Scratch, name: bytes, taken: bytes) -> bool:
    """Whether a rename can be told to replace nothing, and does what it is told where nothing is."""
    try:
        kernel.rename_new(scratch.at(name), scratch.fd, taken)
        return False
    except OSError as error:
        # The kernel may have told so, which knows that name; the file system has a say where nothing is.
        if error.errno != errno.EEXIST:
            return False
    try:
        kernel.rename_new(scratch.at(name), scratch.fd, b"free")
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return False
    return True


def _has_unnamed_files(scratch: Scratch) -> bool:
    """O_TMPFILE: nothing depends on it."""
    try:
        os.close(os.open(scratch.path + b"/.", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError:
        return False
    return True


def times(scratch: Scratch) -> Finding:
    """How exact modification times are, and whether changes in quick succession have times of their own."""
    check = "filesystem.times"
    with scratch.file(b"times") as fd:
        exact = records.keeps_times(fd)
        os.utime(fd, (_LATE, _LATE))
        late = os.fstat(fd).st_mtime == _LATE
        grain_ns = _grain_ns(fd)
    values = {"nanoseconds": exact, "beyond_2038": late, "grain_ns": grain_ns}
    if not exact:
        return warning(
            check,
            "modification times are coarse: an object has no MD5 as its ETag in its first 2 seconds",
            "use a file system that keeps nanoseconds (ext4: mkfs.ext4 -I 256; not vfat or exfat)",
            **values,
        )
    if not late:
        return warning(
            check,
            "modification times end in 2038: objects that are newer lose their records",
            "use a file system without that limit (ext4: mkfs.ext4 -I 256; xfs: mkfs.xfs -m bigtime=1)",
            **values,
        )
    how = "changes show at once" if grain_ns == 0 else f"changes show within {grain_ns / 1e6:.0f} ms"
    return ok(check, f"times have nanoseconds, and {how}", **values)


def _grain_ns(fd: int) -> int:
    """How far apart two changes of an open file must be to have change times of their own; 0: not at all."""
    before = os.fstat(fd).st_ctime_ns
    for _ in range(10):
        os.fchmod(fd, 0o600)
        now = os.fstat(fd).st_ctime_ns
        if now == before:
            break
        before = now
    else:
        return 0
    steps: list[int] = []
    deadline = time.monotonic() + 5
    while len(steps) < 3 and time.monotonic() < deadline:
        os.fchmod(fd, 0o600)
        now = os.fstat(fd).st_ctime_ns
        if now != before:
            steps.append(now - before)
            before = now
    return min(steps, default=5_000_000_000)


def quick_reads(scratch: Scratch) -> Finding:
    """The calls that answer without waiting for a disk."""
    with scratch.file(b"read", b"x" * 4096) as fd:
        return quick_reads_in(scratch.fd, b"read", fd)


def quick_reads_in(directory: int, name: bytes = b".", file: int | None = None) -> Finding:
    """The same without writing, in an open directory.

    :param name: of something in it.
    :param file: a file that is open for reading, to be read.
    """
    check = "filesystem.quick-reads"
    missing = []
    try:
        os.close(kernel.openat2(directory, name, os.O_RDONLY))
    except OSError:
        missing.append("openat2")
    cached = kernel.CachedOpen(os.O_RDONLY)(directory, name)
    if cached >= 0:
        os.close(cached)
    else:
        missing.append("RESOLVE_CACHED")
    try:
        if file is not None:
            os.preadv(file, [bytearray(4096)], 0, os.RWF_NOWAIT)
    except OSError as error:
        # tmpfs never waits, and does not know the flag: there it is a plain read.
        if error.errno != errno.EAGAIN and kernel.filesystem_type(directory) != kernel.TMPFS:
            missing.append("RWF_NOWAIT")
    covered = hot.can_serve(directory)
    values = {"covered": covered, "missing": missing}
    if covered and not missing:
        return ok(check, "what is in memory is read without a thread", **values)
    if covered or "openat2" in missing:
        return note(
            check,
            f"the kernel has no {', '.join(missing)}: every read takes a thread",
            "Linux 5.12 or newer; in a container or a unit with a seccomp filter allow openat2 and preadv2",
            **values,
        )
    return note(
        check,
        "every read takes a thread: only of ext4, xfs and tmpfs it is known which ones would have to wait",
        "nothing needs to change; small objects are read faster from those",
        **values,
    )


def preallocation(scratch: Scratch) -> Finding:
    """Whether room can be reserved for a file before it is written."""
    check = "filesystem.preallocation"
    with scratch.file(b"reserved") as fd:
        kernel.preallocate(fd, 0, _RESERVED)
        status = os.fstat(fd)
        works = status.st_blocks * 512 >= _RESERVED and status.st_size == 0
    if works:
        return ok(check, f"room is reserved before a file is written (tried with {size(_RESERVED)})", works=True)
    return note(
        check,
        "room cannot be reserved: that the disk is full is found out in the middle of an upload",
        "nothing needs to change; keep more free space than the largest uploads take",
        works=False,
    )


#: All probes here.
PROBES: tuple[tuple[str, Probe], ...] = (
    ("filesystem.attributes", attributes),
    ("filesystem.reflink", reflink),
    ("filesystem.locks", locks),
    ("filesystem.links", links),
    ("filesystem.renames", renames),
    ("filesystem.times", times),
    ("filesystem.quick-reads", quick_reads),
    ("filesystem.preallocation", preallocation),
)
