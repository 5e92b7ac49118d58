"""What is mounted where the data are, with which options, and how much room there is.

Blocking; reads /proc/self/mountinfo.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from zs3.doctor import gluster
from zs3.doctor.findings import Finding, note, ok, problem, size, warning
from zs3.store import kernel, paths

_GOOD = ("btrfs", "ext4", "xfs", "zfs")
_NETWORK = re.compile(r"nfs4?|cifs|smb3|9p|ceph|glusterfs|lustre|gpfs|ocfs2|gfs2|virtiofs|afs|fuse(\..*)?")
_DELAYS = ("actimeo", "acregmax", "acdirmax", "closetimeo")
_NFS_DEFAULT_S = 60
_LITTLE_SPACE, _LITTLE_SHARE = 1 << 30, 0.01
_FEW_INODES = 10_000


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of /proc/self/mountinfo (proc_pid_mountinfo(5)).

    :ivar identifier: tells it from all others.
    :ivar point: where it is.
    :ivar kind: the type of the file system.
    :ivar source: what is mounted.
    :ivar options: of the mount and the file system, by name; "" for one without a value.
    """

    identifier: int
    point: str
    kind: str
    source: str
    options: Mapping[str, str]


def parse(text: str) -> list[Mount]:
    """The mounts that a mountinfo file tells of."""
    found = []
    for line in text.splitlines():
        front, _, back = line.partition(" - ")
        fields, rest = front.split(" "), back.split(" ")
        if len(fields) < 6 or len(rest) < 3:
            continue
        options: dict[str, str] = {}
        for each in (*rest[2].split(","), *fields[5].split(",")):
            name, _, value = each.partition("=")
            options[name] = value
        # Of a file system that is mounted twice, one may be read-only: what the mount says counts.
        if "ro" in fields[5].split(","):
            options.pop("rw", None)
        found.append(Mount(int(fields[0]), _unescape(fields[4]), rest[0], _unescape(rest[1]), options))
    return found


def _unescape(text: str) -> str:
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda found: bytes((int(found[1], 8) & 255,)), os.fsencode(text)))


def mounts() -> list[Mount]:
    """Those that this process sees."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return parse(file.read())


def mount_of(data: bytes) -> Mount | None:
    """The one that a directory is on; None if that cannot be told."""
    # O_PATH: who may not read it shall be told, too.
    with paths.opened(os.open(data, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as fd:
        identifier = kernel.mount_id(fd)
    return next((each for each in mounts() if each.identifier == identifier), None)


def examine(data: bytes) -> Iterator[Finding]:
    """The file system, its options and its room."""
    mount = mount_of(data)
    if mount is None:
        yield note("mount.type", "what is mounted here cannot be told", "mount /proc to be told more")
    else:
        yield judge_type(mount)
        if mount.kind == gluster.KIND:
            yield from gluster.examine(mount.point)
        yield judge_options(mount)
    yield from judge_room(os.statvfs(data))


def judge_type(mount: Mount) -> Finding:
    """What the kind of file system means for zs3."""
    check, fact = "mount.type", f"{mount.kind}, mounted at {mount.point} from {mount.source}"
    values = {"type": mount.kind, "point": mount.point, "source": mount.source}
    if mount.kind in _GOOD:
        return ok(check, fact, **values)
    if mount.kind in ("tmpfs", "ramfs"):
        return warning(
            check, f"{fact}: all of it is lost when the machine stops", "for tests only; else a disk", **values
        )
    if mount.kind == "overlay":
        advice = "in a container mount a volume or a folder of the host there (-v /srv/s3:/data)"
        return warning(check, f"{fact}: a container's layer goes with the container", advice, **values)
    if _NETWORK.fullmatch(mount.kind):
        return _judge_network(mount, fact, values)
    if mount.kind in ("vfat", "msdos", "exfat", "ntfs", "ntfs3"):
        advice = "ext4, xfs or btrfs; what this one lacks is told below"
        return warning(check, f"{fact}: made for other systems", advice, **values)
    return note(
        check, f"{fact}: nobody has tried zs3 on it", "see what is told of it below; ext4 and xfs are tried", **values
    )


def _judge_network(mount: Mount, fact: str, values: Mapping[str, object]) -> Finding:
    check, options = "mount.type", mount.options
    if "soft" in options or "softerr" in options:
        advice = "mount it with the option hard"
        return problem(check, f"{fact}, softly: writes may fail that seemed to be done", advice, **values)
    if "nolock" in options or options.get("local_lock", "none") not in ("none", "flock") or "nobrl" in options:
        advice = "mount it without nolock, local_lock and nobrl, or let one host alone write"
        return problem(check, f"{fact}: locks are this host's own", advice, **values)
    if mount.kind == gluster.KIND:
        # Its options do not show here.
        return ok(check, fact, **values)
    delay = attribute_delay(mount)
    late = f"what other hosts change may be seen {delay} s late" if delay else "what others change may be seen late"
    if delay == 0:
        return ok(check, f"{fact}: what other hosts change is seen at once", attribute_cache_s=0, **values)
    advice = (
        "if other hosts write: for NFS the options noac or actimeo=1, and lookupcache=positive; for CIFS actimeo=0; "
        "for FUSE attr_timeout=0"
    )
    return note(check, f"{fact}: {late}", advice, attribute_cache_s=delay, **values)


def attribute_delay(mount: Mount) -> int | None:
    """How long a network mount may tell of a file as it was, in seconds; None if its options do not say."""
    options = mount.options
    if "noac" in options:
        return 0
    told = {each: int(options[each]) for each in _DELAYS if options.get(each, "").isdecimal()}
    if mount.kind in ("nfs", "nfs4"):
        # What is usual is not shown.
        return max(told.get(each, _NFS_DEFAULT_S) for each in ("acregmax", "acdirmax"))
    return max(told.values(), default=None)


def judge_options(mount: Mount) -> Finding:
    """Options that cost something, or durability."""
    check, options = "mount.options", mount.options
    told = ",".join(f"{name}={value}" if value else name for name, value in options.items())
    values = {"options": dict(options)}
    remount = f"mount -o remount,{{}} {mount.point}, and the same in /etc/fstab"
    if "ro" in options:
        return warning(check, f"mounted read-only: {told}", f"to write: {remount.format('rw')}", **values)
    if "nobarrier" in options or options.get("barrier") == "0" or options.get("sync") == "disabled":
        text = "the disk is not told to write its cache out: a power failure may take what was answered"
        return problem(check, f"{text} ({told})", remount.format("barrier"), **values)
    if "sync" in options or "dirsync" in options:
        text = "every write of every program waits for the disk; zs3 waits where it has to by itself"
        return note(check, f"{text} ({told})", remount.format("async"), **values)
    if not {"relatime", "noatime"} & options.keys():
        return note(check, f"every read writes to the disk ({told})", remount.format("noatime"), **values)
    return ok(check, told, **values)


def judge_room(room: os.statvfs_result) -> Iterator[Finding]:
    """Free space and inodes, for who is not root."""
    free, total = room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize
    fact = f"{size(free)} of {size(total)} are free"
    values = {"free": free, "total": total}
    advice = "remove something, or make the file system larger; lifecycle rules remove what is old"
    if free == 0:
        yield problem("mount.space", f"the disk is full: {fact}", advice, **values)
    elif free < min(_LITTLE_SPACE, total // 10) or free < total * _LITTLE_SHARE:
        yield warning("mount.space", fact, advice, **values)
    else:
        yield ok("mount.space", fact, **values)
    if room.f_files == 0:
        yield ok("mount.inodes", "there is no limit to the number of files", free=None, total=None)
        return
    left = room.f_favail
    fact = f"{left} of {room.f_files} files can still be made (inodes)"
    advice = "remove files, or make the file system anew with more inodes (mkfs.ext4 -i 4096)"
    if left == 0:
        yield problem("mount.inodes", fact, advice, free=left, total=room.f_files)
    elif left < min(_FEW_INODES, room.f_files // 10):
        yield warning("mount.inodes", fact, advice, free=left, total=room.f_files)
    else:
        yield ok("mount.inodes", fact, free=left, total=room.f_files)
