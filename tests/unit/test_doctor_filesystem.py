"""What `zs3 doctor` says of file systems that lack something."""

import errno
import os

import pytest

from tests.doctors import failing, told
from zs3.doctor import filesystem, latency, names, scratch
from zs3.doctor.findings import Verdict
from zs3.store import kernel

OK, NOTE, WARNING, PROBLEM = Verdict


@pytest.fixture
def place(data):
    """A scratch directory in an empty data directory, which is empty again afterwards."""
    with scratch.made(os.fsencode(data)) as place:
        yield place
    assert list(data.iterdir()) == []


# Attributes


def test_attributes_that_are_kept_are_measured(place):
    finding = filesystem.attributes(place)
    # As the file system of the tests has it.
    assert told(finding) in (OK, NOTE)
    assert finding.values["largest"] > 68


@pytest.mark.parametrize(("largest", "verdict"), [(40_000, OK), (2048, OK), (2047, NOTE), (100, NOTE)])
def test_the_size_of_attributes_is_found_by_trying(place, monkeypatch, largest, verdict):
    kept = {}

    def set_attribute(_file, name, value):
        if len(value) > largest:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        kept[name] = value

    monkeypatch.setattr(os, "setxattr", set_attribute)
    monkeypatch.setattr(os, "getxattr", lambda _file, name: kept[name])
    finding = filesystem.attributes(place)
    assert told(finding) is verdict
    assert finding.values["largest"] == largest


@pytest.mark.parametrize("number", [errno.ENOTSUP, errno.EPERM])
def test_no_attributes_are_a_warning(place, monkeypatch, number):
    monkeypatch.setattr(os, "setxattr", failing(number))
    finding = filesystem.attributes(place)
    assert told(finding) is WARNING
    assert "mv" in finding.fact


def test_attributes_that_a_rename_loses_are_a_problem(place, monkeypatch):
    real = os.rename

    def rename(old, new):
        os.removexattr(old, "user.zs3")
        real(old, new)

    monkeypatch.setattr(os, "rename", rename)
    assert told(filesystem.attributes(place)) is PROBLEM


# Blocks, locks and links


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV])
def test_files_that_cannot_share_blocks_are_a_note(place, monkeypatch, number):
    monkeypatch.setattr(filesystem.fcntl, "ioctl", failing(number))
    assert told(filesystem.reflink(place)) is NOTE


@pytest.mark.parametrize(("clones", "verdict"), [(True, OK), (False, PROBLEM)])
def test_a_clone_is_compared(place, monkeypatch, clones, verdict):
    def clone(target, _request, argument):
        source, _, length, _ = filesystem._CLONE_RANGE.unpack(argument)
        os.pwrite(target, os.pread(source, length, 0) if clones else bytes(length), 0)

    monkeypatch.setattr(filesystem.fcntl, "ioctl", clone)
    assert told(filesystem.reflink(place)) is verdict


def test_locks_exclude_this_process_and_another(place):
    finding = filesystem.locks(place)
    assert told(finding) is OK
    assert finding.values == {"threads": True, "processes": True}


def test_locks_that_exclude_nobody_are_a_problem(place, monkeypatch):
    monkeypatch.setattr(kernel, "try_lock", lambda *_: True)
    finding = filesystem.locks(place)
    assert told(finding) is PROBLEM
    assert finding.values == {"threads": False, "processes": False}


def test_locks_that_do_not_exclude_another_process_are_a_problem(place, monkeypatch):
    answers = iter([True, False])
    monkeypatch.setattr(kernel, "try_lock", lambda *_: next(answers))
    finding = filesystem.locks(place)
    assert told(finding) is PROBLEM
    assert "processes" in finding.fact
    assert "threads" not in finding.fact


def test_no_locks_are_a_problem(place, monkeypatch):
    monkeypatch.setattr(kernel, "try_lock", failing(errno.ENOLCK))
    assert told(filesystem.locks(place)) is PROBLEM


def test_no_hard_links_are_a_warning(place, monkeypatch):
    assert told(filesystem.links(place)) is OK
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    assert told(filesystem.links(place)) is WARNING


def test_a_rename_that_can_only_replace_is_a_note(place, monkeypatch):
    assert told(filesystem.renames(place)) is OK
    monkeypatch.setattr(kernel, "rename_new", failing(errno.EINVAL))
    assert told(filesystem.renames(place)) is NOTE


def test_a_rename_that_writes_into_the_old_file_is_a_problem(place, monkeypatch):
    def rename(old, new):
        with open(old, "rb") as source, open(new, "r+b") as target:
            target.write(source.read())
        os.unlink(old)

    monkeypatch.setattr(os, "rename", rename)
    assert told(filesystem.renames(place)) is PROBLEM


# Times


def test_times_that_are_rounded_are_a_warning(place, monkeypatch):
    assert told(filesystem.times(place)) is OK
    real = os.utime

    def rounding(fd, times=None, *, ns=None):
        real(fd, ns=(ns[0] // 10**9 * 10**9,) * 2) if ns else real(fd, times)

    monkeypatch.setattr(os, "utime", rounding)
    finding = filesystem.times(place)
    assert told(finding) is WARNING
    assert finding.values["nanoseconds"] is False


def test_times_that_end_in_2038_are_a_warning(place, monkeypatch):
    real = os.utime

    def until_2038(fd, times=None, *, ns=None):
        real(fd, ns=ns) if ns else real(fd, (min(times[0], 2**31 - 1),) * 2)

    monkeypatch.setattr(os, "utime", until_2038)
    finding = filesystem.times(place)
    assert told(finding) is WARNING
    assert "2038" in finding.fact


def test_how_far_apart_changes_must_be_is_measured(place, monkeypatch):
    grain, clock_ = 4_000_000, iter(range(0, 10**12, 1_000_000))
    real = os.fstat

    class Coarse:
        def __init__(self, status):
            self._status = status
            self.st_ctime_ns = next(clock_) // grain * grain

        def __getattr__(self, name):
            return getattr(self._status, name)

    monkeypatch.setattr(os, "fstat", lambda fd: Coarse(real(fd)))
    finding = filesystem.times(place)
    assert told(finding) is OK
    assert finding.values["grain_ns"] == grain
    assert "4 ms" in finding.fact


# Reading and room


def test_a_kernel_without_the_calls_is_a_note(place, monkeypatch):
    monkeypatch.setattr(filesystem.hot, "can_serve", lambda _: True)
    monkeypatch.setattr(kernel, "openat2", failing(errno.ENOSYS))
    monkeypatch.setattr(kernel, "CachedOpen", lambda _: lambda *_: -errno.ENOSYS)
    monkeypatch.setattr(os, "preadv", failing(errno.EOPNOTSUPP))
    monkeypatch.setattr(kernel, "filesystem_type", lambda _: kernel.EXT)
    finding = filesystem.quick_reads(place)
    assert told(finding) is NOTE
    assert finding.values["missing"] == ["openat2", "RESOLVE_CACHED", "RWF_NOWAIT"]


def test_a_file_system_that_may_wait_for_others_is_a_note(place, monkeypatch):
    monkeypatch.setattr(filesystem.hot, "can_serve", lambda _: False)
    finding = filesystem.quick_reads(place)
    assert told(finding) is NOTE
    assert finding.values["covered"] is False


def test_room_that_cannot_be_reserved_is_a_note(place, monkeypatch):
    monkeypatch.setattr(kernel, "preallocate", lambda *_: None)
    assert told(filesystem.preallocation(place)) is NOTE


# Names


def folding(place, monkeypatch, fold):
    """Make the scratch directory one that takes names for the same that `fold` makes equal."""
    real = place.at
    monkeypatch.setattr(scratch.Scratch, "at", lambda self, name: real(fold(name.decode()).encode()))


def test_upper_and_lower_case_that_are_one_are_a_problem(place, monkeypatch):
    assert told(names.case(place)) is OK
    folding(place, monkeypatch, str.casefold)
    assert told(names.case(place)) is PROBLEM


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_that_are_normalised_are_a_problem(place, monkeypatch, form):
    assert told(names.unicode(place)) is OK
    folding(place, monkeypatch, lambda name: names.unicodedata.normalize(form, name))
    finding = names.unicode(place)
    assert told(finding) is PROBLEM
    assert finding.values == {"folds": True, "changes": form == "NFC"}


def refusing(monkeypatch, refuses, number):
    real = os.open

    def refuse(path, *args, **kwargs):
        if isinstance(path, bytes) and refuses(os.path.basename(path)):
            raise OSError(number, os.strerror(number))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)


def test_characters_that_are_refused_are_a_warning(place, monkeypatch):
    assert told(names.characters(place)) is OK
    refusing(monkeypatch, lambda name: b":" in name or b"?" in name, errno.EINVAL)
    finding = names.characters(place)
    assert told(finding) is WARNING
    assert finding.values["refused"] == [":", "?"]


def test_short_names_are_a_warning(place, monkeypatch):
    assert told(names.name_length(place)) is OK
    refusing(monkeypatch, lambda name: len(name) > 143, errno.ENAMETOOLONG)
    finding = names.name_length(place)
    assert told(finding) is WARNING
    assert finding.values["name_max"] == 143


def test_short_paths_are_a_warning(place, monkeypatch):
    monkeypatch.setattr(os, "mkdir", failing(errno.ENAMETOOLONG))
    finding = names.name_length(place)
    assert told(finding) is WARNING
    assert finding.values["beyond_path_max"] is False


# fsync


@pytest.mark.parametrize(
    ("seconds", "verdict"), [(0.000_001, WARNING), (0.000_1, OK), (0.005, OK), (0.03, NOTE), (0.5, WARNING)]
)
def test_how_long_an_fsync_takes_is_judged(place, monkeypatch, seconds, verdict):
    monkeypatch.setattr(latency, "_fsync", lambda _: seconds)
    monkeypatch.setattr(kernel, "filesystem_type", lambda _: kernel.EXT)
    for probe in (latency.of_files, latency.of_directories):
        finding = probe(place)
        assert told(finding) is verdict
        assert finding.values == {"median_s": seconds, "max_s": seconds, "tries": 25}


@pytest.mark.parametrize(("seconds", "text"), [(0.000_28, "0.28 ms"), (0.0029, "2.9 ms"), (0.21, "210 ms")])
def test_a_time_is_told_in_plain_digits(place, monkeypatch, seconds, text):
    monkeypatch.setattr(latency, "_fsync", lambda _: seconds)
    assert f"takes {text}, at most {text} (" in latency.of_files(place).fact


def test_an_fsync_in_memory_takes_no_time(place, monkeypatch):
    monkeypatch.setattr(latency, "_fsync", lambda _: 0.000_001)
    monkeypatch.setattr(kernel, "filesystem_type", lambda _: kernel.TMPFS)
    assert told(latency.of_files(place)) is OK


def test_a_slow_disk_is_not_asked_for_long(place, monkeypatch):
    now = iter(range(100))
    monkeypatch.setattr(latency.time, "monotonic", lambda: float(next(now)))
    monkeypatch.setattr(latency, "_fsync", lambda _: 1.0)
    assert latency.of_files(place).values["tries"] < 5


def test_directories_that_cannot_be_synced_are_a_warning(place, monkeypatch):
    monkeypatch.setattr(os, "fsync", failing(errno.EINVAL))
    finding = latency.of_directories(place)
    assert told(finding) is WARNING
    assert finding.values == {"works": False}
