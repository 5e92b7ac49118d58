"""A file that remembers in which order it was written and flushed: ``device.py MOUNTPOINT IMAGE LOG POSITION``.

It speaks the protocol of /dev/fuse by itself: one file that is the whole file system needs eight requests of it, and
one thread that answers them one by one makes an order that nobody has to argue about.  No library does that in less.

It is a process of its own: who wrote to a file that it serves itself would wait for itself for ever.

:param MOUNTPOINT: a file; it becomes the device.
:param IMAGE: a file with what is on the device.
:param LOG: to which each write and flush is appended, see `proof.blockdevice.log`.
:param POSITION: a file of 8 bytes: how many records the log has.  A record counts before it is answered.
"""

from __future__ import annotations

import errno
import mmap
import os
import stat
import struct
import sys

from proof.blockdevice.log import FLUSH, RECORD, WRITE
from proof.blockdevice.mounts import mount

_IN = struct.Struct("<IIQQIIIHH")
_OUT = struct.Struct("<IiQ")
_GETATTR, _OPEN, _READ, _WRITE, _STATFS, _RELEASE, _FSYNC, _FLUSH, _INIT = 3, 14, 15, 16, 17, 18, 20, 25, 26
_FORGET, _INTERRUPT, _BATCH_FORGET = 2, 36, 42
_INIT_IN = struct.Struct("<IIII")
_INIT_OUT = struct.Struct("<IIIIHHIIHHI28x")
_ATTRIBUTES = struct.Struct("<QIIQQQQQQIIIIIIIIII")
_OPENED = struct.Struct("<QIi")
#: A read or a write: handle, offset, size.
_PIECE = struct.Struct("<QQIIQII")
_WRITTEN = struct.Struct("<II")
_ASYNC_READ, _BIG_WRITES, _ASYNC_DIRECT, _MAX_PAGES = 1, 1 << 5, 1 << 15, 1 << 22
#: No page cache of the file's own, which would keep writes back and change their order.
_DIRECT = 1
_LARGEST = 1 << 20
_PAGE = 4096


class _Server:
    def __init__(self, fd: int, image: str, log: str, position: str) -> None:
        self._fd = fd
        self._image = os.open(image, os.O_RDWR)
        self._size = os.fstat(self._image).st_size
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with open(position, "r+b") as file:
            self._position = mmap.mmap(file.fileno(), 8)
        self._count = 0

    def run(self) -> None:
        """Answer until it is unmounted."""
        buffer = bytearray(_LARGEST + 2 * _PAGE)
        view = memoryview(buffer)
        while True:
            try:
                size = os.readv(self._fd, [buffer])
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return
                if error.errno in (errno.EINTR, errno.ENOENT):
                    continue
                raise
            _, opcode, unique, *_ = _IN.unpack_from(buffer)
            if opcode in (_FORGET, _BATCH_FORGET, _INTERRUPT):
                continue
            body = view[_IN.size : size]
            answer, error_number = b"", 0
            try:
                answer = self._answer(opcode, body)
            except OSError as error:
                error_number = error.errno or errno.EIO
            try:
                os.writev(self._fd, [_OUT.pack(_OUT.size + len(answer), -error_number, unique), answer])
            except OSError as error:
                if error.errno != errno.ENOENT:  # Nobody waits for it any more.
                    raise

    def _answer(self, opcode: int, body: memoryview) -> bytes:
        if opcode == _WRITE:
            _, offset, size, *_ = _PIECE.unpack_from(body)
            data = body[_PIECE.size : _PIECE.size + size]
            if os.pwrite(self._image, data, offset) != size:
                raise OSError(errno.EIO, "short write")
            self._record(WRITE, offset, data)
            return _WRITTEN.pack(size, 0)
        if opcode == _READ:
            _, offset, size, *_ = _PIECE.unpack_from(body)
            return os.pread(self._image, size, offset)
        if opcode == _FSYNC:
            self._record(FLUSH, 0, memoryview(b""))
            return b""
        if opcode == _GETATTR:
            blocks = self._size // 512
            times = (0,) * 6
            return _ATTRIBUTES.pack(
                3600, 0, 0, 1, self._size, blocks, *times, stat.S_IFREG | 0o600, 1, 0, 0, 0, _PAGE, 0
            )
        if opcode == _OPEN:
            return _OPENED.pack(0, _DIRECT, 0)
        if opcode == _INIT:
            major, minor, ahead, flags = _INIT_IN.unpack_from(body)
            flags &= _ASYNC_READ | _BIG_WRITES | _ASYNC_DIRECT | _MAX_PAGES
            return _INIT_OUT.pack(major, min(minor, 31), ahead, flags, 64, 48, _LARGEST, 1, _LARGEST // _PAGE, 0, 0)
        if opcode in (_RELEASE, _FLUSH):
            return b""
        raise OSError(errno.ENOSYS, "not of a device")

    def _record(self, kind: int, offset: int, data: memoryview) -> None:
        head = RECORD.pack(kind, offset, len(data))
        if os.writev(self._log, [head, data]) != len(head) + len(data):
            raise OSError(errno.EIO, "the log is full")
        self._count += 1
        self._position[:] = self._count.to_bytes(8, "little")


def main() -> None:
    mountpoint, image, log, position = sys.argv[1:]
    fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    mount("cuts", mountpoint, "fuse", options=f"fd={fd},rootmode=100000,user_id=0,group_id=0,allow_other")
    # Who started it waits for this line.
    print("mounted", flush=True)
    _Server(fd, image, log, position).run()


if __name__ == "__main__":
    main()
