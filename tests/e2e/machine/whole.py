"""All rules together."""

from __future__ import annotations

from tests.e2e.machine.crashes import Crashes
from tests.e2e.machine.deleting import Deleting
from tests.e2e.machine.listing import Listing
from tests.e2e.machine.others import Others
from tests.e2e.machine.sessions import Sessions
from tests.e2e.machine.tagging import Tagging
from tests.e2e.machine.versioning import Versioning
from tests.e2e.machine.writing import Writing
from tests.e2e.two import Two


class Whole(Crashes, Sessions, Writing, Deleting, Tagging, Listing, Versioning, Others):
    pass


def machine(two: Two) -> type[Whole]:
    """A machine of its own for these daemons."""
    return type("Machine", (Whole,), {"two": two})
