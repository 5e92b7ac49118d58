"""Versioning: half of the sequences begin with it, in the others it may be switched on later."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.e2e.machine.base import Base, seldom, sides


class Versioning(Base):
    @rule(enabled=st.sampled_from((True, True, False)), now=seldom, side=sides)
    def switch(self, enabled: bool, now: bool, side: int) -> None:
        if now or self.state:
            self.switch_to(enabled, side)
