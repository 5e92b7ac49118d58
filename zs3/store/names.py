"""The names in a directory: sorted and small in memory, and sorting more of them than there is memory for.

Pure.  A name among many of its like takes a few bytes, in blocks that are
compressed.  Where even so they are too many, the least from a given one on are
kept: a window, that ends at a ceiling.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

#: Names in a block: about as many as a page shows.
_BLOCK = 1000
#: Names that are sorted at once, which is what takes memory.
_RUN = 50 * _BLOCK
#: Blocks that are merged at once.
_MERGED = 64
#: In no UTF-8.
_BETWEEN = b"\xff"
#: In no name.
_WAY = b"\0"
#: What a block costs beside its bytes: the objects, and their places in the lists.
_PER_BLOCK = 300

#: The names that lead from a directory to one of its entries.
Way = tuple[bytes, ...]


def _pack(names: Iterable[bytes]) -> bytes:
    return zlib.compress(_BETWEEN.join(names), 1)


def _unpack(block: bytes) -> list[bytes]:
    return zlib.decompress(block).split(_BETWEEN)


def _sort(name: bytes) -> bytes:
    return name.partition(_WAY)[0]


def _cost(block: tuple[bytes, bytes, bytes]) -> int:
    return _PER_BLOCK + sum(map(len, block))


class Listing:
    """The entries of a directory of keys.

    :ivar floor: what is less is not in it.
    :ivar ceiling: what is not less than this is not in it; None if there is nothing.
    :ivar lasting: whether nothing changed while it was read, and all of it was in that one directory.
    :ivar cost: about how many bytes it takes.
    """

    def __init__(
        self,
        blocks: Sequence[bytes] = (),
        firsts: Sequence[bytes] = (),
        floor: bytes = b"",
        ceiling: bytes | None = None,
        *,
        lasting: bool = False,
    ) -> None:
        """:param blocks: by `_pack`, but an only one is as it is.
        :param firsts: the first entry of each.
        """
        self._blocks = blocks
        self._firsts = firsts
        self.floor = floor
        self.ceiling = ceiling
        self.lasting = lasting
        self.cost = _PER_BLOCK * (1 + len(blocks)) + sum(map(len, blocks)) + sum(map(len, firsts))

    def __len__(self) -> int:
        """How many blocks there are."""
        return len(self._blocks)

    def find(self, entry: bytes) -> int:
        """The number of the block in which an entry is, if it is in any."""
        return max(0, bisect_right(self._firsts, entry) - 1)

    def block(self, number: int) -> tuple[list[bytes], dict[bytes, Way]]:
        """Some entries as they sort: the segment of each object, and of each directory, with a ``/`` behind it.

        :returns: also the names that lead to those which are not simply called so.
        """
        data = self._blocks[number]
        if len(self._blocks) > 1:
            data = zlib.decompress(data)
        names = data.split(_BETWEEN)
        if _WAY not in data:
            return names, {}
        ways = {}
        for name in names:
            sort, special, way = name.partition(_WAY)
            if special:
                ways[sort] = tuple(way.split(b"/"))
        return [_sort(name) for name in names], ways


class Names:
    """Takes entries in any order, and some of them more than once."""

    def __init__(self, wanted: bytes, room: int) -> None:
        """:param wanted: if not all entries are kept, then those from this one on.
        :param room: about how many bytes they may take.
        """
        self._wanted = wanted
        self._room = room
        self._floor = b""
        self._ceiling: bytes | None = None
        self._names: list[bytes] = []
        self._ways = False
        #: first and last entry of each, and all of it
        self._blocks: list[tuple[bytes, bytes, bytes]] = []
        self._used = 0

    def add(self, sort: bytes, way: Way | None = None) -> None:
        """Take an entry; of those that sort alike the one without a way counts, or the least way.

        :param way: to it, unless it is simply called so.
        """
        self.extend([sort if way is None else sort + _WAY + b"/".join(way)])
        self._ways = self._ways or way is not None

    def extend(self, sorts: list[bytes]) -> None:
        """Take entries that are simply called so."""
        self._names += sorts
        if len(self._names) >= _RUN:
            self._put_by()

    def _sorted(self) -> list[bytes]:
        names, self._names = self._names, []
        names.sort()
        if self._ceiling is not None:
            del names[bisect_left(names, self._ceiling) :]
        # "a" sorts before "a" with a way, and that before whatever begins with "a".
        return names[bisect_left(names, self._floor, key=_sort) :]

    def _put_by(self) -> None:
        names = self._sorted()
        for start in range(0, len(names), _BLOCK):
            part = names[start : start + _BLOCK]
            block = part[0], part[-1], _pack(part)
            self._blocks.append(block)
            self._used += _cost(block)
        if self._used > self._room:
            self._floor = self._wanted
            self._blocks = sorted(block for block in self._blocks if _sort(block[1]) >= self._floor)
            self._used = sum(map(_cost, self._blocks))
            # Some more, or it would soon be the same again; but what is wanted first always stays.
            while self._used > self._room * 3 // 4 and _sort(self._blocks[-1][0]) > self._wanted:
                block = self._blocks.pop()
                self._used -= _cost(block)
                self._ceiling = _sort(block[0])

    def _merged(self) -> Iterator[list[bytes]]:
        """All that was put by, in order."""
        blocks = sorted(self._blocks)
        rest: list[bytes] = []
        for start in range(0, len(blocks), _MERGED):
            for _, _, block in blocks[start : start + _MERGED]:
                rest += _unpack(block)
            rest.sort()
            del rest[: bisect_left(rest, self._floor, key=_sort)]
            # All that comes later is behind the next block's first.
            end = len(rest)
            if start + _MERGED < len(blocks):
                end = bisect_left(rest, _sort(blocks[start + _MERGED][0]))
            elif self._ceiling is not None:
                end = bisect_left(rest, self._ceiling)
            yield rest[:end]
            del rest[:end]

    def listing(self, *, lasting: bool) -> Listing:
        """The entries that were taken.

        :param lasting: see `Listing`.
        """
        if self._blocks:
            self._put_by()
        parts = []
        firsts = []
        for names in self._merged() if self._blocks else (self._sorted(),):
            names = _unique(names) if self._ways else list(dict.fromkeys(names))
            for start in range(0, len(names), _BLOCK):
                part = names[start : start + _BLOCK]
                firsts.append(_sort(part[0]))
                parts.append(_pack(part))
        if len(parts) == 1:
            parts = [zlib.decompress(parts[0])]
        return Listing(parts, firsts, self._floor, self._ceiling, lasting=lasting)


def _unique(names: list[bytes]) -> list[bytes]:
    """Sorted names, of those that sort alike only the first."""
    return list({_sort(name): name for name in reversed(names)}.values())[::-1]
