"""Whether the data directory can be used: what is found out without touching the disk."""

import os
from types import SimpleNamespace

import pytest

from zs3.store import diskspace
from zs3.store.diskspace import DiskProbe

GIB = 1 << 30


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def space(monkeypatch):
    """What the file system says; a full one of 100 GiB has 4 KiB blocks."""
    found = SimpleNamespace(f_blocks=25 << 20, f_bavail=20 << 20, f_frsize=4096, f_files=1_000_000, f_favail=900_000)
    monkeypatch.setattr(diskspace.os, "statvfs", lambda _: found)
    return found


def probe(data, *, read_only=False):
    found = DiskProbe(os.fsencode(data), read_only=read_only)
    found.start()
    return found


def test_room_is_told_in_bytes_and_files(data, space):
    disk = probe(data).look()
    assert (disk.size, disk.available) == (100 * GIB, 80 * GIB)
    assert (disk.inodes, disk.inodes_available) == (1_000_000, 900_000)
    assert disk.problem == ""


def test_what_is_told_is_what_the_file_system_says(data):
    disk, found = probe(data).look(), os.statvfs(data)
    assert disk.size == found.f_blocks * found.f_frsize
    assert disk.inodes == found.f_files


@pytest.mark.parametrize(
    ("total", "free", "problem"),
    [
        (100 * GIB, 64 << 20, ""),
        (100 * GIB, (64 << 20) - 4096, "disk-space"),
        (100 * GIB, 0, "disk-space"),
        # Of a small one 64 MiB would be too much to ask for.
        (GIB, 11 << 20, ""),
        (GIB, 10 << 20, "disk-space"),
    ],
)
def test_less_than_64_mib_or_one_percent_is_too_little(data, space, total, free, problem):
    space.f_blocks, space.f_bavail = total // 4096, free // 4096
    assert probe(data).look().problem == problem


@pytest.mark.parametrize(
    ("total", "free", "problem"),
    [
        (1_000_000, 1000, ""),
        (1_000_000, 999, "disk-space"),
        (1000, 10, ""),
        (1000, 9, "disk-space"),
        # btrfs, and others that make them as they are needed.
        (0, 0, ""),
    ],
)
def test_less_than_1000_files_or_one_percent_is_too_little(data, space, total, free, problem):
    space.f_files, space.f_favail = total, free
    assert probe(data).look().problem == problem


def test_a_file_system_that_was_made_read_only_is_told_of(data, monkeypatch):
    monkeypatch.setattr(diskspace.os, "access", lambda path, mode, **_: not mode & os.W_OK)
    assert probe(data).look().problem == "not-writable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_may_not_be_written_is_told_of(data):
    data.chmod(0o500)
    assert probe(data).look().problem == "not-writable"


def test_who_serves_readers_alone_needs_no_room(data, space, monkeypatch):
    space.f_bavail = space.f_favail = 0
    monkeypatch.setattr(diskspace.os, "access", lambda *_, **__: False)
    assert probe(data, read_only=True).look().problem == ""


def test_a_directory_that_is_no_longer_there_is_told_of(data):
    look = probe(data)
    data.rename(data.with_name("elsewhere"))
    assert look.look().problem == "not-there"
    # As where a disk is no longer mounted.
    data.mkdir()
    assert look.look().problem == "not-there"
    data.rmdir()
    data.with_name("elsewhere").rename(data)
    assert look.look().problem == ""


def test_a_look_writes_nothing_and_leaves_nothing(data):
    before = os.stat(data)
    probe(data).look()
    after = os.stat(data)
    assert (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns)
    assert not list(data.iterdir())
