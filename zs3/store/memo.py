"""What was found out of files, remembered for as long as they are certain to be as they were then.

What is remembered goes by the state of a file, or holds the states that prove
it.  Any change gives a file another state, whoever makes it: each write,
attribute, rename and link sets the change time, which nobody can set back.
Shared by all threads of a store.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from operator import attrgetter
from typing import Any

#: A clock that ticks in kernel/time gives all changes within a tick one time; the slowest tick is 10 ms.
_GRAIN_NS = 20_000_000
#: The same where times are not kept to the nanosecond.
_COARSE_NS = 2_000_000_000

#: What a value takes beside its bytes: tuples, numbers, and its place.
PER_VALUE = 450

State = tuple[int, ...]
#: What tells a file as it is from all others, and from itself after any change.
state: Callable[[os.stat_result], State] = attrgetter("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")


def is_settled(status: os.stat_result, now: int) -> bool:
    """Whether whatever changes a file from now on gives it a state that it did not have.

    Its inode number may then also go to another file: that one's change time is later.

    :param now: nanoseconds since the epoch, when the file was looked at or before.
    """
    changed = status.st_ctime_ns
    return max(changed, status.st_mtime_ns) + (_GRAIN_NS if changed % 1000 else _COARSE_NS) <= now


class Memo:
    """What was found out, by key; what was used last is kept.

    :ivar get: gives what is known of a key, or None.  Safe in any thread, and cheap: `touch` must be told of it.
    """

    def __init__(self, size: int) -> None:
        """:param size: the most bytes that all may take, about; 0 to remember nothing."""
        self._size = size
        self._used = 0
        self._lock = threading.Lock()
        self._known: OrderedDict[Hashable, tuple[Any, ...]] = OrderedDict()
        self.get = self._known.get

    def touch(self, used: Iterable[Hashable]) -> None:
        """Take note of the keys of what was of use."""
        # As long as there is room, nothing is forgotten.
        if self._used < self._size // 4 * 3:
            return
        known = self._known
        with self._lock:
            for key in used:
                if key in known:
                    known.move_to_end(key)

    def keep(self, found: Iterable[tuple[Hashable, tuple[Any, ...]]]) -> None:
        """Remember what is new.

        :param found: keys, and what was found, with how many bytes both take as the last of it.
        """
        known = self._known
        with self._lock:
            for key, value in found:
                self._used += value[-1] - known.pop(key, (0,))[-1]
                known[key] = value
            while self._used > self._size:
                self._used -= known.popitem(last=False)[1][-1]
