"""Reading at a limited rate, and leaving the page cache as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from zs3.store import kernel
from zs3.verify.reading import CHUNK, Reader, Stopped, Throttle


class Clock:
    """Time that passes while somebody sleeps."""

    def __init__(self) -> None:
        self.time = 100.0
        self.longest = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.longest = max(self.longest, seconds)
        self.time += seconds


@contextmanager
def opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


def test_a_rate_holds_on_average() -> None:
    clock = Clock()
    throttle = Throttle(1000.0, now=clock.now, sleep=clock.sleep)
    for size in (1, 5, 500, 1, 3000, 493):
        throttle.spend(size)
    assert clock.time - 100 == pytest.approx(4.0, abs=0.011)


def test_what_was_not_used_is_not_saved_up() -> None:
    clock = Clock()
    throttle = Throttle(1000.0, now=clock.now, sleep=clock.sleep)
    clock.time += 3600
    before = clock.time
    throttle.spend(2000)
    assert clock.time - before == pytest.approx(2.0)


def test_without_a_rate_nobody_waits() -> None:
    clock = Clock()
    Throttle(None, now=clock.now, sleep=clock.sleep).spend(1 << 40)
    assert clock.time == 100.0


def test_who_waits_is_stopped_soon() -> None:
    clock = Clock()
    throttle = Throttle(1.0, lambda: clock.time > 105, clock.now, clock.sleep)
    with pytest.raises(Stopped):
        throttle.spend(3600)
    assert clock.time < 106
    with pytest.raises(Stopped):
        throttle.check()


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 5])
def test_all_bytes_are_read_in_order(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    data = os.urandom(size)
    path.write_bytes(data)
    told: list[int] = []
    with opened(path) as fd:
        assert b"".join(map(bytes, Reader(Throttle(), told.append).read(fd, size))) == data
    assert sum(told) == size


def test_of_a_file_that_became_shorter_there_is_what_there_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"short")
    with opened(path) as fd:
        assert b"".join(map(bytes, Reader(Throttle()).read(fd, 2 * CHUNK))) == b"short"


@pytest.mark.parametrize("cached", [True, False])
def test_the_page_cache_is_as_before(tmp_path: Path, cached: bool) -> None:
    path = tmp_path / "file"
    size = 3 * CHUNK
    path.write_bytes(bytes(size))
    with opened(path) as fd:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        if kernel.is_cached(fd, 0, size) is not False:
            pytest.skip("this file system has no cache that can be dropped, or the kernel does not tell")
        if cached:
            path.read_bytes()
            assert kernel.is_cached(fd, 0, size)
        for _ in Reader(Throttle()).read(fd, size):
            pass
        for at in range(0, size, CHUNK):
            assert kernel.is_cached(fd, at, CHUNK) is cached


def test_a_place_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(CHUNK + 1))
    real = os.preadv

    def fail(fd: int, buffers: object, offset: int) -> int:
        if offset:
            raise OSError(5, "Input/output error")
        return real(fd, buffers, offset)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "preadv", fail)
    with opened(path) as fd, pytest.raises(OSError) as caught:
        list(Reader(Throttle()).read(fd, CHUNK + 1))
    assert caught.value.__notes__ == [f"at byte {CHUNK}"]
