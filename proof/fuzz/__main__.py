"""Runs atheris for one target: ``python -m proof.fuzz TARGET [SECONDS]``; see `proof.fuzz`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["zs3", "proof.fuzz.targets"]):
    from proof.fuzz.targets import TARGETS


def main() -> None:
    name = sys.argv[1]
    seconds = sys.argv[2] if len(sys.argv) > 2 else "60"
    kept = Path(__file__).parent / "corpora" / name
    # What it finds on its way goes to the first directory, what fails to where it was started.
    with tempfile.TemporaryDirectory() as scratch:
        atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", "-max_len=4096", scratch, str(kept)], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
