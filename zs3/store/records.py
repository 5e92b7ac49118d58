"""Where an object's record is kept: in the file's attribute `user.zs3`, or in a sidecar file.

Blocking.  Attributes are written and read through the opened file, never by
path.  A record that an attribute cannot hold goes to a sidecar in the bucket's
internals, whose random name the attribute holds; where there are no attributes
at all, it is named by key, size and modification time.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import hashlib
import os
import secrets
import stat
import struct
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from functools import cached_property

from zs3.store import kernel, metadata, paths
from zs3.store.calls import WAITING, Calls, Status
from zs3.store.internals import Internals
from zs3.store.metadata import Record
from zs3.store.values import NOT_LOCKED, Lock, ObjectInfo, PartChecksums

ATTRIBUTE = "user.zs3"
_LONGEST = 2048
#: errno of an attribute that is too large, or not to be had at all, or was taken and is not there (ENODATA)
REFUSED = (
    *(errno.ENOSPC, errno.EDQUOT, errno.E2BIG, errno.ERANGE),
    *(errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENODATA),
)
_NO_ATTRIBUTES = tuple(number for number in REFUSED if number != errno.ENODATA)
#: errno of a file that may not be written to
_FORBIDDEN = (errno.EACCES, errno.EPERM)
_COARSE_NS = 2_000_000_000
_stable: dict[int, bool] = {}
_STABLE_INODES = (kernel.EXT, kernel.XFS, kernel.BTRFS, kernel.ZFS)


def warnings(fd: int) -> list[str]:
    """What the administrator should know of the file system of a scratch file, found out by trying."""
    found = []
    if not keeps_attributes(fd):
        found.append("no extended attributes here: records are kept in sidecar files and are lost by mv and cp")
    if not keeps_times(fd):
        found.append("modification times are coarse here: objects younger than 2 s are told without their record")
    return found


def can_tell_apart(fd: int) -> bool:
    """Whether on the file system of a scratch file two files of one key have records of their own, whenever they were
    made.
    """
    return keeps_attributes(fd) or keeps_times(fd)


def keeps_attributes(fd: int) -> bool:
    """Whether a scratch file, or directory, keeps an attribute that is set."""
    try:
        os.setxattr(fd, ATTRIBUTE, b"probe")
        return os.getxattr(fd, ATTRIBUTE) == b"probe"
    except OSError:
        return False


def keeps_times(fd: int) -> bool:
    """Whether a scratch file keeps a modification time to the nanosecond."""
    odd = 1_000_000_000_123_456_789
    os.utime(fd, ns=(odd, odd))
    return os.fstat(fd).st_mtime_ns == odd


def _stamp(fd: int, differ_from: int | None, calls: Calls) -> os.stat_result | Status:
    """Set the modification time of a file after its last write: what it is like then.

    :param differ_from: the modification time that it must not have, in nanoseconds.
    """
    now = time.time_ns()
    # Never a whole microsecond, so that a file whose time is one shows that the file system rounds.
    now += now % 1000 == 0
    if now == differ_from:
        now += 1
    os.utime(fd, ns=(now, now))
    return calls.status(fd)


class State(enum.Enum):
    """What there is of a file's record."""

    VALID = 1
    #: valid, but the file with the checksums of the parts that it names is gone
    VALID_IN_PART = 2
    #: none: others made the file
    NONE = 3
    #: one for the file as it was: others have changed it
    VOID = 4
    #: there should be one for the file as it is, and it is gone or cannot be read
    LOST = 5
    #: too young to prove anything, where times are rounded
    YOUNG = 6


class Records:
    """The records of the objects of one bucket, or of the parts of one upload.

    :ivar directory: where the sidecars are.
    """

    def __init__(self, directory: bytes, internals: Internals, *, private: bool = False) -> None:
        """:param private: nobody else changes these files, so that even a young record proves something."""
        self.directory = directory
        self._private = private
        self._internals = internals

    def write(
        self, fd: int, record: Record, key: str, *, differ_from: int | None = None, calls: Calls = WAITING
    ) -> Record:
        """Set the time of the open file `fd`, which is not yet visible, and keep its record.  The caller fsyncs `fd`.

        :param differ_from: the modification time that it must not have, in nanoseconds.
        :returns: the record as it is kept, with that time.
        """
        status = _stamp(fd, differ_from, calls)
        record = record.stamped(status.st_size, status.st_mtime_ns)
        self._keep(fd, status.st_dev, record, key)
        return record

    def _keep(self, fd: int, device: int, record: Record, key: str) -> None:
        if not self._attach(fd, device, record):
            self._write_sidecar(self._by_key, _name(key, record.size, record.mtime_ns), metadata.pack(record))

    def attach(self, fd: int, record: Record) -> bool:
        """Keep another record with an open file, in its attribute or in a sidecar that this names.

        At any moment the file has the record that it had, or this one.  The caller fsyncs `fd`, and only then removes
        the sidecars that it had.

        :param record: of the file as it is.  A file that it names for the checksums of the parts must be this one's.
        :returns: False where no attribute can be had, or none of this size: then nothing has changed.
        """
        if _attribute(fd) in _NO_ATTRIBUTES:
            return False
        device = os.fstat(fd).st_dev
        if record.part_checksums.file:
            # They are as they were.
            data = metadata.pack(record)
            if len(data) <= _LONGEST and self._set(fd, device, data, passing=_FORBIDDEN):
                return True
        return self._attach(fd, device, self.with_part_checksums(record), passing=_FORBIDDEN)

    def _attach(self, fd: int, device: int, record: Record, *, passing: Collection[int] = ()) -> bool:
        for data, name, rest in _ways(record):
            if not name:
                if self._set(fd, device, data, passing=passing):
                    return True
                continue
            done = False
            try:
                self._write_sidecar(self._any, name, rest)
                done = self._set(fd, device, data, passing=passing)
            finally:
                if not done:
                    remove_sidecars([_sidecar(self._any, name)])
            if done:
                return True
        return False

    def keep_by_key(self, fd: int, record: Record, key: str) -> None:
        """The same where `attach` could not.  Durable when this returns.

        :raises OSError: ENOSPC: the file has an attribute, which goes before.
        """
        if isinstance(_attribute(fd), bytes):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._write_sidecar(self._by_key, _name(key, record.size, record.mtime_ns), metadata.pack(record))
        with contextlib.suppress(OSError):
            # What was remembered of the file goes by its change time.
            os.fchmod(fd, stat.S_IMODE(os.fstat(fd).st_mode))

    def has_sidecars(self, calls: Calls) -> bool:
        """Whether there may be any.  In most buckets there never was one."""
        return calls.exists(self.directory)

    @property
    def _any(self) -> bytes:
        return os.path.join(self.directory, b"any")

    @property
    def _by_key(self) -> bytes:
        return os.path.join(self.directory, b"key")

    @cached_property
    def _has_by_key(self) -> bool:
        """One look, which spares one for each of the files that others dropped in."""
        return paths.exists(self._by_key)

    def _set(self, fd: int, device: int, data: bytes, *, passing: Collection[int] = ()) -> bool:
        """Set the attribute, and see that it reads back, once for a device: some take one and keep nothing.

        :param passing: what is raised, of `REFUSED`.
        """
        keeping = self._internals.keeping
        try:
            os.setxattr(fd, ATTRIBUTE, data)
            if device not in keeping:
                if os.getxattr(fd, ATTRIBUTE) != data:
                    return False
                keeping.add(device)
            return True
        except OSError as error:
            if error.errno not in REFUSED or error.errno in passing:
                raise
            return False

    def _write_sidecar(self, base: bytes, name: bytes, data: bytes) -> None:
        path = _sidecar(base, name)
        self._internals.make_directory(os.path.dirname(path), below=os.path.dirname(self.directory))
        self._internals.write_file(path, data)

    def read(self, fd: int, status: os.stat_result, key: str) -> Record | None:
        """The valid record of an open file with all that belongs to it, or None."""
        record = self._read(fd, status, key)[0]
        return None if record is None else self.with_part_checksums(record)

    def read_or_describe(self, fd: int, status: os.stat_result, key: str) -> Record:
        """The same, but for the checksums of many parts, of which it may have the file's name.

        Of a file without a valid record one that says what can be seen from outside.
        """
        return self._read(fd, status, key)[0] or Record.of(self.info(fd, status, key))

    def look(self, fd: int, status: os.stat_result, key: str) -> tuple[State, Record | None]:
        """The valid record of an open file as `read` gives it, or why there is none.

        Where there are no attributes, a file that others changed looks like one that they made.
        """
        record = self._read(fd, status, key)[0]
        if record is not None:
            whole = self.with_part_checksums(record)
            lost = record.part_checksums.file and not whole.part_checksums.values
            return (State.VALID_IN_PART if lost else State.VALID), whole
        if not self._private and is_young(status):
            return State.YOUNG, None
        data = _attribute(fd)
        if isinstance(data, int):
            return State.NONE, None
        if metadata.unpack_reference(data) is None:
            return (State.VOID if metadata.unpack(data) else State.LOST), None
        return (State.LOST if metadata.is_reference_for(data, status) else State.VOID), None

    def with_part_checksums(self, record: Record) -> Record:
        """A record with the checksums of the parts, if it only has the name of their file."""
        if not record.part_checksums.file:
            return record
        return replace(record, part_checksums=PartChecksums(self._part_checksums(record.part_checksums)))

    def _part_checksums(self, parts: PartChecksums) -> bytes:
        if not parts.file:
            return parts.values
        return _read_file(_sidecar(self._any, parts.file)) or b""

    def part_checksums(self, info: ObjectInfo) -> list[bytes]:
        """The checksums of an object's parts; none if they are not known any more."""
        if info.checksum is None:
            return []
        values, size = self._part_checksums(info.part_checksums), len(info.checksum.value)
        if len(values) != size * len(info.part_sizes):
            return []
        return [values[at : at + size] for at in range(0, len(values), size)]

    def _read(
        self, fd: int, status: os.stat_result, key: str, seen: bytes | int | None = None
    ) -> tuple[Record | None, bool]:
        """The same, and whether that is all in the file itself.

        :param seen: what the attribute was, or the errno of that, when the sidecar that it led to was missing.
        """
        inside = False
        attribute: bytes | int
        try:
            attribute = os.getxattr(fd, ATTRIBUTE)
        except OSError as error:
            if error.errno not in REFUSED:
                raise
            attribute = error.errno
            record = None
            if self._has_by_key:
                record = _read_sidecar(_sidecar(self._by_key, _name(key, status.st_size, status.st_mtime_ns)))
            else:
                inside = attribute == errno.ENODATA
        else:
            name = metadata.unpack_reference(attribute)
            inside = name is None
            record = metadata.unpack(attribute) if name is None else _read_sidecar(_sidecar(self._any, name))
        if record is None and not inside and attribute != seen:
            # The record may just have been changed.
            return self._read(fd, status, key, attribute)
        if record is None or not record.describes(status):
            return None, inside
        if not self._private and is_young(status):
            return None, False
        return record, inside

    def lock(self, fd: int, status: os.stat_result, key: str) -> Lock | None:
        """What keeps the version in an open file from being deleted, even if its record is void: whoever edits the file
        does not unlock it.

        :returns: None if that cannot be known.
        """
        data = _attribute(fd)
        if isinstance(data, int):
            path = _sidecar(self._by_key, _name(key, status.st_size, status.st_mtime_ns))
            found = _read_file(path) if self._has_by_key else None
            if found is None:
                # A file of others, if it could have an attribute.
                return NOT_LOCKED if data == errno.ENODATA or not self._has_by_key else None
            data = found
        elif (name := metadata.unpack_reference(data)) is not None:
            data = _read_file(_sidecar(self._any, name)) or b""
        record = metadata.unpack(data)
        return None if record is None else record.attributes.lock

    def sidecars(self, fd: int, status: os.stat_result, key: str) -> list[bytes]:
        """The paths of the sidecars that are rubbish once this open file has another record, is replaced or deleted.

        What the attribute names is not, as long as the file has another name.
        """
        data = _attribute(fd)
        if isinstance(data, int):
            return [_sidecar(self._by_key, _name(key, status.st_size, status.st_mtime_ns))]
        return self._named(data) if status.st_nlink == 1 else []

    def needs(self, fd: int) -> list[bytes]:
        """The paths of the sidecars without which the record of an open file is not whole, as far as it names them."""
        data = _attribute(fd)
        return [] if isinstance(data, int) else self._named(data)

    def origin(self, fd: int) -> str:
        """The version whose record is kept with an open file, valid or not: others may have copied it; "" for none."""
        data = _attribute(fd)
        if isinstance(data, int):
            return ""
        name = metadata.unpack_reference(data)
        record = metadata.unpack(data) if name is None else _read_sidecar(_sidecar(self._any, name))
        return "" if record is None else record.version

    def _named(self, data: bytes) -> list[bytes]:
        name = metadata.unpack_reference(data) or metadata.part_checksums_file(data)
        return [_sidecar(self._any, name)] if name else []

    def info(self, fd: int, status: os.stat_result, key: str) -> ObjectInfo:
        """What there is to tell of an open file: its record, or what can be seen from outside."""
        return self.info_and_source(fd, status, key)[0]

    def info_and_source(self, fd: int, status: os.stat_result, key: str) -> tuple[ObjectInfo, bool]:
        """The same, and whether it follows from the file alone, as long as that stays as it is."""
        record, inside = self._read(fd, status, key)
        if record is not None:
            return record.info(key), inside
        return metadata.plain_info(key, status, inode=has_stable_inodes(fd, status.st_dev)), inside


def is_young(status: os.stat_result) -> bool:
    """Whether a record proves nothing yet: where times are rounded, a file changed twice in a tick looks the same."""
    return status.st_mtime_ns % 1000 == 0 and time.time_ns() - status.st_mtime_ns < _COARSE_NS


def _ways(record: Record) -> Iterator[tuple[bytes, bytes, bytes]]:
    """How a record can be kept, the best way first: the attribute, and the name and content of a sidecar, if any."""
    data = metadata.pack(record)
    if len(data) <= _LONGEST:
        yield data, b"", b""
    name = secrets.token_bytes(16)
    if record.part_checksums.values:
        # Few who read the object ask for these: the rest stays where it is read at once.
        short = metadata.pack(replace(record, part_checksums=PartChecksums(file=name)))
        if len(short) <= _LONGEST:
            yield short, name, record.part_checksums.values
    yield metadata.pack_reference(record, name), name, data


def has_stable_inodes(fd: int, device: int) -> bool:
    """Whether a file's inode number stays the same on the file system of an open file, and tells it from others.

    :param device: the number of that file system, which is asked once.
    """
    known = _stable.get(device)
    if known is None:
        known = _stable[device] = kernel.filesystem_type(fd) in _STABLE_INODES
    return known


def remove_sidecars(paths: Iterable[bytes]) -> None:
    """Remove what `Records.sidecars` named.  One that stays is rubbish and costs nothing but its room."""
    for path in paths:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _attribute(fd: int) -> bytes | int:
    """What the attribute holds, or the errno that says why there is none."""
    try:
        return os.getxattr(fd, ATTRIBUTE)
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        return error.errno


def _sidecar(base: bytes, name: bytes) -> bytes:
    text = name.hex().encode()
    return os.path.join(base, text[:2], text)


def _read_file(path: bytes) -> bytes | None:
    try:
        return paths.read_file(path)
    except FileNotFoundError:
        return None


def _read_sidecar(path: bytes) -> Record | None:
    data = _read_file(path)
    return None if data is None else metadata.unpack(data)


def _name(key: str, size: int, mtime_ns: int) -> bytes:
    # No record describes a file whose time is out of this range.
    mtime_ns = max(-(1 << 63), min(mtime_ns, (1 << 63) - 1))
    return hashlib.blake2b(struct.pack("<qq", size, mtime_ns) + key.encode(), digest_size=16).digest()
