"""Several multipart uploads at once, from their beginning to their end."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.e2e.machine.base import HEADERS, TAGS, keys, sides
from tests.e2e.machine.copying import Copying
from tests.e2e.machine.multipart import CHECKSUMS, FIRST_PART, large


class Sessions(Copying):
    @rule(numbers=st.lists(keys, min_size=1, max_size=3), two=large, side=sides)
    def upload(self, numbers: Sequence[int], two: bool, side: int) -> None:
        """Whole ones, all at once."""
        choose = self.chance.choice
        uploads, waiting = [], []
        for number in numbers:
            checksum = choose(CHECKSUMS)
            at = self.begin_upload(self.key(number), side, choose(HEADERS), choose(TAGS), *checksum)
            parts = [1, 1, 2] if two else self.chance.choices((1, 1, 2, 3), k=3)
            uploads.append(at)
            waiting += [(at, part) for part in parts]
        self.chance.shuffle(waiting)
        for at, part in waiting:
            self.turn()
            if two and part == 1:
                self.put_part(at, part, FIRST_PART, side)
            elif choose((False, False, False, True)):
                self.copy_part_somehow(at, part, side)
            else:
                self.put_part(at, part, self.body(choose((0, 0, 5_000))), side)
            side = 1 - side
            self.list_parts_somehow(at, side)
        for at in uploads:
            parts = sorted(self.uploads[at].parts)
            if not parts:
                continue
            if not two:
                # The last may be small, and so may the only one be.
                parts = [choose(parts)]
            if self.uploads[at].algorithm and parts[0] != 1:
                continue
            self.complete_upload(at, [(part, self.uploads[at].parts[part].etag) for part in parts], side)
