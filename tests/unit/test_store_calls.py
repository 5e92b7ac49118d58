"""The calls that keep the GIL answer as those of `os` do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from zs3.store import calls, kernel, locks
from zs3.store.calls import AT_ONCE, WAITING, Calls, Status

FACTS = Status._fields


@pytest.fixture
def directory(tmp_path: Path) -> int:
    (tmp_path / "file").write_bytes(b"data")
    os.utime(tmp_path / "file", ns=(1, 1_234_567_890_123_456_789))
    (tmp_path / "old").touch()
    os.utime(tmp_path / "old", ns=(1, -1_500_000_000))
    (tmp_path / "directory/below").mkdir(parents=True)
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "way").symlink_to("directory")
    os.mkfifo(tmp_path / "fifo")
    return os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)


def facts(status: os.stat_result | Status | None) -> list[int] | None:
    return None if status is None else [getattr(status, name) for name in FACTS]


NAMES = [b"file", b"old", b"directory", b"link", b"way", b"fifo", b"absent", b"x" * 255]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_seen_as_it_is(directory: int, name: bytes) -> None:
    # Twice: the first may find nothing in memory.
    for _ in range(2):
        assert facts(AT_ONCE.look(directory, name)) == facts(WAITING.look(directory, name))
    path = b"/proc/self/fd/%d/%b" % (directory, name)
    assert AT_ONCE.exists(path) == WAITING.exists(path) == (name not in NAMES[-2:])


def test_what_is_not_in_memory_is_left_to_os(directory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = facts(WAITING.look(directory, b"file"))
    for name in ("_open_directory", "_open_bucket", "_open_lock", "_find", "_find_path"):
        monkeypatch.setattr(calls, name, lambda *_: -errno.EAGAIN)
    assert facts(AT_ONCE.look(directory, b"file")) == expected
    assert AT_ONCE.look(directory, b"absent") is None
    assert AT_ONCE.exists(bytes(tmp_path / "file"))
    assert not AT_ONCE.exists(bytes(tmp_path / "absent"))
    for fd in (
        AT_ONCE.open_bucket(bytes(tmp_path / "way")),
        AT_ONCE.open_directory(directory, (b"directory", b"below")),
        AT_ONCE.open_lock(bytes(tmp_path / "file")),
    ):
        assert not os.get_inheritable(fd)
        AT_ONCE.close(fd)


@pytest.mark.parametrize("kind", [AT_ONCE, WAITING])
def test_opening(directory: int, tmp_path: Path, kind: Calls) -> None:
    for _ in range(2):
        with kind.opened(kind.open_bucket(bytes(tmp_path / "way"))) as fd:
            assert os.path.samestat(os.fstat(fd), os.stat(tmp_path / "directory"))
            assert not os.get_inheritable(fd)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
        with kind.opened(kind.open_directory(directory, ())) as fd:
            assert facts(kind.status(fd)) == facts(os.fstat(directory))
        with kind.opened(kind.open_directory(directory, (b"directory", b"below"))) as fd:
            assert os.listdir(fd) == []
        for names, error in (((b"way", b"below"), OSError), ((b"file",), NotADirectoryError), ((b"no",), OSError)):
            with pytest.raises(error):
                kind.open_directory(directory, names)
        with pytest.raises(FileNotFoundError):
            kind.open_bucket(bytes(tmp_path / "absent"))
        with pytest.raises(NotADirectoryError):
            kind.open_bucket(bytes(tmp_path / "file"))
        with pytest.raises(FileNotFoundError):
            kind.open_lock(bytes(tmp_path / "absent"))
        with pytest.raises(OSError, match="symbolic"):
            kind.open_lock(bytes(tmp_path / "link"))


@pytest.mark.parametrize("kind", [AT_ONCE, WAITING])
def test_a_lock_excludes_whoever_asks(tmp_path: Path, kind: Calls) -> None:
    path = tmp_path / "lock"
    path.touch()
    with locks.held(WAITING.open_lock(bytes(path)), 5, 1):
        fd = kind.open_lock(bytes(path))
        assert not kind.try_lock(fd, 5, 1)
        assert not kind.try_lock(fd, 0, 0)
        assert kind.try_lock(fd, 6, 1)
    assert kind.try_lock(fd, 5, 1)
    with pytest.raises(locks.WouldBlock), locks.held(AT_ONCE.open_lock(bytes(path)), 0, 0, AT_ONCE):
        pass
    kind.close(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        kind.try_lock(fd, 5, 1)


@pytest.mark.parametrize("kind", [AT_ONCE, WAITING])
def test_attributes_and_generations(directory: int, tmp_path: Path, kind: Calls) -> None:
    os.setxattr(directory, "user.zs3.id", b"\0some id")
    assert kind.get_attribute(directory, "user.zs3.id") == b"\0some id"
    os.setxattr(directory, "user.zs3.id", b"x" * 1000)
    assert kind.get_attribute(directory, "user.zs3.id") == b"x" * 1000
    with pytest.raises(OSError, match="No data"):
        kind.get_attribute(directory, "user.none")
    assert kind.generation(directory) == kernel.generation(directory)
    read, write = os.pipe()
    assert kind.generation(read) is None
    assert facts(kind.status(write)) == facts(os.fstat(write))
