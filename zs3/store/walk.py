"""A walk through the keys of a bucket in order, that goes straight to where it is to start.

Blocking.  Order is that of the UTF-8 bytes of whole keys.  The walk reads each
directory on its way once and holds one descriptor, however deep it goes.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Callable, Generator
from dataclasses import dataclass

from zs3.store import directory, layout, paths
from zs3.store.dircache import DirectoryCache, is_local
from zs3.store.directory import OBJECTS, Exclusive, Tree
from zs3.store.memo import PER_VALUE, Memo, State, is_settled, state
from zs3.store.names import Listing

#: Far below PATH_MAX.
_LONGEST_WAY = 2048


@dataclass(frozen=True, slots=True)
class Source:
    """How directories are read; see `zs3.store.directory.read`.

    :ivar memo: what was shown of objects, and what proves that directories hold some.
    :ivar report: told of names that stand for nothing, with the way to them from where the walk begins.
    :ivar tree: what the names in them stand for.
    :ivar barred: told of directories that cannot be read, and why, to go on without them.  None: private ones are left
        out, and any other trouble is raised: it must not pass for an empty directory.
    """

    cache: DirectoryCache
    memo: Memo
    report: Callable[[bytes], None]
    exclusive: Exclusive | None = None
    tree: Tree = OBJECTS
    barred: Callable[[bytes, OSError], None] | None = None


def past(prefix: bytes) -> bytes:
    """The least string greater than all that begin with `prefix`; UTF-8 has no byte 0xff."""
    return prefix[:-1] + bytes((prefix[-1] + 1,))


class Level:
    """A directory that the walk is in.

    :ivar prefix: what the keys in it begin with.
    :ivar names: the way to it from the bucket.
    :ivar status: what it was before it was read; None if it is not there.
    :ivar order: entries as they sort; more may follow, see `advance`.
    :ivar index: the next of them.
    """

    def __init__(self, bucket: int, prefix: bytes, names: tuple[bytes, ...], floor: bytes, source: Source) -> None:
        """:param floor: the least key of interest."""
        self.prefix = prefix
        self.names = names
        self._bucket = bucket
        self._source = source
        self._fd: int | None = None
        self.status: os.stat_result | None = None
        self._listing = Listing()
        self._block = 0
        self._ways: dict[bytes, tuple[bytes, ...]] = {}
        self.order: list[bytes] = []
        self.index = 0
        try:
            if (rest := self._rest(floor)) is not None:
                self._read(rest)
        except BaseException:
            self.close()
            raise

    def open(self) -> int | None:
        """An fd of the directory, kept until `close`; None if it went."""
        if self._fd is None:
            self._fd = directory.open_directory(self._bucket, self.names, private=self._source.barred is None)
        return self._fd

    def close(self) -> None:
        """Close the fd, if it is open."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _rest(self, floor: bytes) -> bytes | None:
        """The least entry that can hold a key not less than `floor`; None if there is none."""
        if not floor.startswith(self.prefix):
            return b"" if floor <= self.prefix else None
        rest = floor[len(self.prefix) :]
        return rest[: rest.find(b"/") + 1] or rest

    def _read(self, floor: bytes) -> None:
        """Read the directory, and go to the first entry not less than `floor`."""
        source, fd = self._source, None
        try:
            fd = self.open()
            if fd is not None:
                self.status = os.fstat(fd)
                self._listing = directory.read(fd, floor, source.cache, source.exclusive, self._report, source.tree)
                self._load(self._listing.find(floor))
                self.index = bisect_left(self.order, floor)
        except OSError as error:
            if fd is not None and paths.is_gone(fd):
                return
            if source.barred is None:
                raise
            source.barred(b"/".join(self.names), error)

    def _report(self, name: bytes) -> None:
        self._source.report(b"/".join((*self.names, name)))

    def _load(self, block: int) -> None:
        self._block = block
        self.order, self._ways = self._listing.block(block) if block < len(self._listing) else ([], {})
        self.index = 0

    def seek(self, floor: bytes) -> None:
        """Go forward to the first entry that can hold a key not less than `floor`."""
        rest = self._rest(floor)
        if rest is None:
            self._listing = Listing()
            self._load(0)
        elif self._listing.ceiling is not None and rest >= self._listing.ceiling:
            self._read(rest)
        else:
            block = self._listing.find(rest)
            if block > self._block:
                self._load(block)
            self.index = max(self.index, bisect_left(self.order, rest))

    def advance(self) -> bool:
        """Whether there is a next entry; makes it that of `index`."""
        while self.index >= len(self.order):
            if self._block + 1 < len(self._listing):
                self._load(self._block + 1)
            elif (ceiling := self._listing.ceiling) is not None:
                self._listing = Listing()
                self._load(0)
                self._read(ceiling)
            else:
                return False
        return True

    def end(self, prefix: bytes) -> int:
        """The index behind the last of `order` whose key begins with `prefix`, if the next one's does."""
        if len(prefix) <= len(self.prefix):
            return len(self.order)
        return bisect_left(self.order, past(prefix[len(self.prefix) :]), self.index)

    def way(self, sort: bytes) -> tuple[bytes, ...]:
        """The names from the directory to one of `order`."""
        way = self._ways.get(sort)
        return (sort.removesuffix(b"/"),) if way is None else way


class Walk:
    """The keys of a tree in order.

    :ivar floor: the least key of interest; may be raised between two steps to leave out what is below.
    """

    def __init__(self, root: int, source: Source, *, prefix: bytes = b"", floor: bytes = b"", cut: bytes = b""):
        """:param root: the fd of the directory that it begins at.
        :param prefix: only keys that begin with it.
        :param cut: a delimiter: of a directory whose keys all have it behind the prefix, one is enough, or instead of
            it the directory itself.
        """
        self._root = root
        self._source = source
        self._prefix = prefix
        self._cut = cut
        self._stack: list[Level] = []
        self._began = time.time_ns()
        self.floor = max(prefix, floor)

    def steps(self, most: int) -> Generator[Level | list[bytes], None, None]:
        """A level whose next entry is an object: who asks takes it, by its `index`.  Or directories that hold keys.

        :param most: of the directories at once.
        """
        stack = self._stack
        above = self._prefix[: self._prefix.rfind(b"/") + 1]
        try:
            self._enter(above, self._source.tree.directory_names(above.decode()))
            floor = self.floor
            while stack:
                level = stack[-1]
                if floor != self.floor:
                    floor = self.floor
                    for each in stack:
                        each.seek(floor)
                if not level.advance():
                    stack.pop().close()
                    continue
                sort = level.order[level.index]
                key = level.prefix + sort
                if not key.startswith(self._prefix):
                    # The walk began below every directory of the prefix, at its least key: this is behind its last.
                    return
                if len(key) > layout.KEY_MAX:
                    level.index += 1
                    self._source.report(b"/".join((*level.names, *level.way(sort))))
                elif not sort.endswith(b"/"):
                    yield level
                elif groups := self._known_groups(level, most):
                    yield groups
                else:
                    level.index += 1
                    names = (*level.names, *level.way(sort))
                    if self._is_group(key, names):
                        yield [key]
                    else:
                        level.close()
                        self._enter(key, names)
        finally:
            for level in stack:
                level.close()

    def _enter(self, prefix: bytes, names: tuple[bytes, ...]) -> None:
        self._stack.append(Level(self._root, prefix, names, self.floor, self._source))

    def is_cut(self, key: bytes) -> bool:
        """Whether a key falls into a common prefix."""
        return bool(self._cut) and key.find(self._cut, len(self._prefix)) >= 0

    def _is_group(self, key: bytes, names: tuple[bytes, ...]) -> bool:
        """Whether a directory has keys that all fall into one common prefix."""
        # What sorts before the floor has been told already.
        if key < self.floor or not self.is_cut(key):
            return False
        fd = directory.open_directory(self._root, names)
        if fd is None:
            return False
        with paths.opened(fd):
            try:
                status = os.fstat(fd)
                if not self._source.tree.holds_object(fd, layout.KEY_MAX - len(key)):
                    return False
            except OSError:
                if paths.is_gone(fd):
                    return False
                raise
            if is_local(fd):
                self._remember(key, names, status)
            return True

    def _remember(self, key: bytes, names: tuple[bytes, ...], status: os.stat_result) -> None:
        """Remember what proves that a common prefix has keys: a directory that holds an object, and the way there.

        :param key: of the directory.
        :param status: of it, before it was looked into.
        """
        at = len(self._stack) - 1
        while at and self.is_cut(self._stack[at].prefix):
            at -= 1
        base, between = self._stack[at], self._stack[at + 1 :]
        way = names[len(base.names) :]
        # A continuation directory on the way might become a symlink, and nobody looks at it.
        if base.status is None or len(way) != len(between) + 1 or sum(map(len, way)) > _LONGEST_WAY:
            return
        proof = []
        # That the first name is a directory's is known from what it is in, whenever the proof is used.
        for depth, found in enumerate([*(each.status for each in between[1:]), status], 1 + bool(between)):
            if found is None or found.st_dev != base.status.st_dev or not is_settled(found, self._began):
                return
            proof.append((b"/".join(way[:depth]), state(found)))
        group = (base.status.st_dev, base.status.st_ino, between[0].prefix if between else key)
        self._source.memo.keep([(group, (proof, len(group[2]) + PER_VALUE * (1 + len(proof))))])

    def _known_groups(self, level: Level, most: int) -> list[bytes]:
        """The next entries as far as they are directories, and common prefixes, and known to hold keys."""
        groups: list[bytes] = []
        used: list[tuple[int, int, bytes]] = []
        if self._cut != b"/" or level.status is None or self.is_cut(level.prefix) or (fd := level.open()) is None:
            return groups
        device, inode = level.status.st_dev, level.status.st_ino
        for sort in level.order[level.index : level.index + most]:
            key = level.prefix + sort
            group = device, inode, key
            known = self._source.memo.get(group)
            # Only of directories it is known.
            if known is None or key < self.floor or not key.startswith(self._prefix) or not _holds(fd, known[0]):
                break
            used.append(group)
            groups.append(key)
        if groups:
            level.index += len(groups)
            self._source.memo.touch(used)
        return groups


def _holds(fd: int, proof: list[tuple[bytes, State]]) -> bool:
    """Whether what is below a directory is as it was."""
    try:
        for way, then in proof:
            if state(os.stat(way, dir_fd=fd, follow_symlinks=False)) != then:
                return False
    except OSError:
        return False
    return True
