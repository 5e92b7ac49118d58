"""The fuzzers of ``proof.fuzz``, without a fuzzer: what they begin with, what they found, and any bytes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import proof.fuzz
from proof.fuzz.targets import TARGETS

CORPORA = Path(proof.fuzz.__file__).parent / "corpora"
KEPT = {f"{path.parent.name}/{path.name}": path for path in sorted(CORPORA.glob("*/*"))}


def test_each_fuzzer_has_a_corpus():
    assert {path.parent.name for path in KEPT.values()} == set(TARGETS)


@pytest.mark.parametrize("path", KEPT.values(), ids=KEPT.keys())
def test_what_was_kept_does_no_harm(path):
    TARGETS[path.parent.name](path.read_bytes())


@given(st.sampled_from(sorted(KEPT)), st.data())
def test_what_was_kept_does_no_harm_with_some_bytes_changed(name, data):
    path = KEPT[name]
    kept = path.read_bytes()
    start, end = sorted(data.draw(st.integers(0, len(kept))) for _ in range(2))
    TARGETS[path.parent.name](kept[:start] + data.draw(st.binary(max_size=8)) + kept[end:])
