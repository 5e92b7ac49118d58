"""Every operation on a full disk, with ever a little more room: ``python -m proof.diskfull DIRECTORY...``.

The directories should be mounts of their own that nobody minds being filled,
of at most a GiB: anything else is refused.  See docs/reliability.rst for how
to make some.  With ``--inodes`` it is the inodes that there are none of, which
ext4 and tmpfs have a number of: 2,000 are enough.
"""

from __future__ import annotations

import argparse
import errno
import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.enumerator import running
from tests.faults import Expected, Wrong, check, check_again, check_answer, check_rubbish, expect
from tests.mutations import MUTATIONS, Client, Mutation, failure

_LARGEST = 1 << 30
_MOST_INODES = 50_000
_BLOCK = 4096
#: How much room there is: none, a few blocks or inodes, and up to more than most operations need.
ROOM = (0, 1, 2, 4, 8, 16, 64, 512)
#: What these make goes to make room: they must work on a disk that is full to the brim.
ALWAYS = ("DeleteObject", "DeleteObjects", "AbortMultipartUpload", "DeleteBucket")
#: Those that keep something in its place, bring it back where its directories are gone, or write another record: that
#: takes room itself.
NOT_ALWAYS = (
    *("DeleteObject by a marker", "DeleteObject by a null marker", "DeleteObjects by markers"),
    *("DeleteObject of a marker", "DeleteObjectTagging"),
)
#: It brings another version back by a name of its own, which on tmpfs is an inode.
NEED_INODES = ("DeleteObject of the current version",)


def fill(path: Path, leave: int) -> None:
    """Take all room of a file system with one file but `leave` bytes, roughly."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        size = 1 << 20
        while size >= _BLOCK:
            try:
                os.write(fd, b"\1" * size)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                size //= 2
        os.fsync(fd)
        if leave:
            os.ftruncate(fd, max(0, os.fstat(fd).st_size - leave))
            os.fsync(fd)
    finally:
        os.close(fd)


def use_up(directory: Path, leave: int) -> None:
    """Take all inodes of a file system but so many."""
    directory.mkdir()
    made = 0
    try:
        while made < _MOST_INODES:
            os.close(os.open(directory / str(made), os.O_CREAT | os.O_WRONLY))
            made += 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    for number in range(min(leave, made)):
        os.unlink(directory / str(number))


class Disk:
    """A mount that is filled again and again.

    :ivar counts: how many operations were tried, and how many were told StorageFull.
    """

    def __init__(self, mount: Path, *, inodes: bool) -> None:
        self._data, self._filler, self._inodes = mount / "data", mount / "filler", inodes
        self._mount = mount
        self._buckets = (f"bucket{number}" for number in itertools.count())
        self._expected: dict[str, Expected] = {}
        self.tried = self.refused = 0

    def attempt(self, mutation: Mutation, room: int) -> list[str]:
        """What is wrong with how an operation ends that has so much room."""
        self._data.mkdir()
        self.tried += 1
        wrong = []
        try:
            with running(self._data, sync=True) as client:
                if mutation.name not in self._expected:
                    self._expected[mutation.name] = expect(client, next(self._buckets), mutation)
                wrong = self._attempt(client, mutation, room)
        except Exception as error:
            wrong.append(repr(error))
        finally:
            self._clear()
            shutil.rmtree(self._data)
            # btrfs gives room back when it has committed that.
            subprocess.run(["sync", "-f", self._mount], check=True)
        return wrong

    def _clear(self) -> None:
        shutil.rmtree(self._filler, ignore_errors=True)
        self._filler.unlink(missing_ok=True)

    def _fill(self, room: int) -> None:
        if self._inodes:
            self._clear()
            use_up(self._filler, room)
        else:
            fill(self._filler, room * _BLOCK)

    def _attempt(self, client: Client, mutation: Mutation, room: int) -> list[str]:
        expected, bucket = self._expected[mutation.name], next(self._buckets)
        prepared = mutation.prepare(client, bucket)
        client.must("PUT", "/beside")
        client.must("PUT", "/beside/large", None, None, b"x" * 500_000)
        self._fill(room)
        answer = mutation.run(client, bucket, prepared)
        code = failure(answer)
        self.refused += code == "StorageFull"
        wrong = []
        if code not in ("", "StorageFull"):
            wrong.append(f"answered {answer.status} {code}, not StorageFull")
        excused = NOT_ALWAYS + (NEED_INODES if self._inodes else ())
        if code and mutation.name.startswith(ALWAYS) and mutation.name not in excused:
            wrong.append("a deletion failed")
        try:
            check_answer(answer)
            check_rubbish(self._data, restarted=False)
            check(client, bucket, mutation, expected, answered=not code)
            # Full to the brim, a new daemon serves, and deletes.
            self._fill(0)
            with running(self._data, sync=True) as again:
                check(again, bucket, mutation, expected, answered=not code)
                again.must("DELETE", "/beside/large")
                if again("GET", "/beside/large").status != 404:
                    wrong.append("it was not deleted")
            self._clear()
            subprocess.run(["sync", "-f", self._mount], check=True)
            check_again(client, bucket, mutation, expected, prepared)
        except Wrong as error:
            wrong.append(str(error))
        return wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proof.diskfull", description=__doc__)
    parser.add_argument("directories", type=Path, nargs="+", metavar="DIRECTORY")
    parser.add_argument("--only", default="", help="operations whose names contain this")
    parser.add_argument("--inodes", action="store_true", help="take the inodes, not the room")
    options = parser.parse_args()
    violations = 0
    for mount in options.directories:
        room = os.statvfs(mount)
        if not os.path.ismount(mount) or room.f_blocks * room.f_frsize > _LARGEST:
            print(f"{mount} is no mount of its own, or too large to be filled")
            return 2
        if options.inodes and not 0 < room.f_files <= _MOST_INODES:
            print(f"{mount} has no number of inodes, or too many")
            return 2
        disk = Disk(mount, inodes=options.inodes)
        for mutation in MUTATIONS:
            if options.only not in mutation.name:
                continue
            for blocks in ROOM:
                for each in disk.attempt(mutation, blocks):
                    violations += 1
                    print(f"{mount.name}: {mutation.name} with {blocks} left: {each}", flush=True)
        print(f"{mount.name}: {disk.tried} operations, {disk.refused} were told StorageFull", flush=True)
    print(f"{violations} violations")
    return bool(violations)


if __name__ == "__main__":
    sys.exit(main())
