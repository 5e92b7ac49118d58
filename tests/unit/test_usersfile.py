"""Changing a users file while others read and change it."""

import fcntl
import multiprocessing
import os
import stat
import struct
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs3.auth import users, usersfile
from zs3.auth.usersfile import change_file, change_text, read_entries

FILE = """\
# Who may use the archive.

[users.alice]  # the owner
access_key = 'ALICE'   # since 2020
secret_key = "alices-secret"
role = "admin"

[users."bob"]
access_key = "BOB"
secret_key = "bobs-secret"
role    =    "writer"
buckets = [
    "photos",  # and no more
]
# the end
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "users.toml"
    path.touch(0o600)
    path.write_text(FILE)
    return path


def disable(name):
    def change(document):
        document["users"][name]["enabled"] = False

    return change


def add(name):
    def change(document):
        pair = {"access_key": f"KEY-{name}", "secret_key": "a-new-secret"}
        document.setdefault("users", {})[name] = {"role": "reader", "keys": [pair]}

    return change


def test_what_is_not_changed_stays_as_it_was_written(path):
    change_file(str(path), disable("bob"))
    assert path.read_text() == FILE.replace("# the end\n", "# the end\nenabled = false\n")
    change_file(str(path), add("zoe"))
    assert path.read_text().startswith(FILE.replace("# the end\n", "# the end\nenabled = false\n"))
    assert users.load(str(path)).keys() == {"ALICE", "BOB", "KEY-zoe"}


@pytest.mark.parametrize("mode", [0o600, 0o700])
def test_mode_stays_whatever_the_umask(path, mode):
    path.chmod(mode)
    old = os.umask(0o777)
    try:
        change_file(str(path), disable("bob"))
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_root_leaves_the_file_to_its_owner(path):
    os.chown(path, 4711, 4712)
    change_file(str(path), disable("bob"))
    assert (path.stat().st_uid, path.stat().st_gid) == (4711, 4712)
    assert read_entries(str(path))["bob"]["enabled"] is False


@pytest.mark.parametrize("create", [False, True])
def test_file_that_others_can_read_is_refused_and_left_alone(path, create):
    path.chmod(0o640)
    for attempt in (lambda: change_file(str(path), disable("bob"), create=create), lambda: read_entries(str(path))):
        with pytest.raises(ValueError, match="others can read"):
            attempt()
    assert path.read_text() == FILE


def test_acl_is_kept(path):
    entries = [(0x01, 6, 0xFFFFFFFF), (0x02, 4, os.getuid()), (0x04, 0, 0xFFFFFFFF), (0x10, 4, 0xFFFFFFFF)]
    entries.append((0x20, 0, 0xFFFFFFFF))
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *each) for each in entries)
    try:
        os.setxattr(path, users.ACL_XATTR, acl)
    except OSError:
        pytest.skip("no POSIX ACLs here")
    change_file(str(path), disable("bob"))
    assert os.getxattr(path, users.ACL_XATTR) == acl
    assert users.load(str(path))


def test_link_is_followed_and_stays(path, tmp_path):
    (tmp_path / "link").symlink_to("users.toml")
    change_file(str(tmp_path / "link"), disable("bob"))
    assert (tmp_path / "link").is_symlink()
    assert not users.load(str(path))["BOB"].enabled


@pytest.mark.parametrize("wrong", ["[users.alice", "[users]", FILE.replace("role", "rule"), "[user.alice]"])
def test_broken_file_is_told_and_left_alone(path, wrong):
    path.write_text(wrong)
    with pytest.raises(ValueError, match=r"users\.toml: ") as caught:
        change_file(str(path), add("zoe"))
    assert "secret" not in str(caught.value).replace("secret_key", "")
    assert path.read_text() == wrong
    assert os.listdir(path.parent) == ["users.toml"]


def test_change_that_would_break_the_file_is_refused(path):
    def change(document):
        document["users"]["bob"]["role"] = "root"

    with pytest.raises(ValueError, match=r"users.toml: users\.bob: role must be"):
        change_file(str(path), change)
    assert path.read_text() == FILE


def test_change_that_would_make_the_file_too_large_is_refused(path, monkeypatch):
    monkeypatch.setattr(users, "MAX_FILE_SIZE", len(FILE) + 10)
    with pytest.raises(ValueError, match="is larger than"):
        change_file(str(path), add("zoe"))
    assert path.read_text() == FILE


@pytest.mark.parametrize("call", ["fsync", "rename", "fchmod"])
def test_failure_leaves_the_old_file_and_nothing_beside_it(path, monkeypatch, call):
    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left"):
        change_file(str(path), disable("bob"))
    assert path.read_text() == FILE
    assert os.listdir(path.parent) == ["users.toml"]


def test_what_a_killed_one_left_is_cleared_away(path, tmp_path):
    (tmp_path / ".users.toml.new").write_text("half")
    change_file(str(path), disable("bob"))
    assert os.listdir(tmp_path) == ["users.toml"]


def test_missing_file_is_made_only_if_that_was_said(tmp_path):
    path = tmp_path / "new.toml"
    with pytest.raises(FileNotFoundError):
        change_file(str(path), add("zoe"))
    change_file(str(path), add("zoe"), create=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert users.load(str(path)).keys() == {"KEY-zoe"}


def test_file_that_another_program_keeps_locked_is_left_alone(path, monkeypatch):
    monkeypatch.setattr(usersfile, "PATIENCE_S", 0)
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="another program keeps it locked"):
            change_file(str(path), disable("bob"))
    assert path.read_text() == FILE


def test_who_waited_for_the_lock_changes_the_new_file_and_not_the_old(path, monkeypatch):
    """The lock of a file that was replaced while one waited for it is worth nothing."""
    real, seen = fcntl.flock, []

    def flock(fd, operation):
        if not seen:
            seen.append(fd)
            change_file(str(path), add("zoe"))
        real(fd, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    change_file(str(path), add("max"))
    assert users.load(str(path)).keys() == {"ALICE", "BOB", "KEY-zoe", "KEY-max"}


def _add_many(path, barrier, who):
    barrier.wait()
    for number in range(5):
        change_file(path, add(f"{who}{number}"), create=True)


def test_several_at_once_lose_nothing_and_a_reader_always_finds_a_whole_file(tmp_path):
    path = str(tmp_path / "users.toml")
    context = multiprocessing.get_context("forkserver")
    barrier = context.Barrier(4)
    processes = [context.Process(target=_add_many, args=(path, barrier, who)) for who in "abc"]
    for process in processes:
        process.start()
    barrier.wait()
    counts = []
    while any(process.is_alive() for process in processes):
        if os.path.exists(path):
            counts.append(len(users.load(path)))
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert counts == sorted(counts)
    assert len(users.load(path)) == 15
    assert os.listdir(tmp_path) == ["users.toml"]


INLINE_BOB = '{role = "reader", keys = [{access_key = "BOB", secret_key = "bobs-secret"}]}'
LAYOUTS = [
    FILE,
    FILE.replace("\n", "\r\n"),
    FILE + '\n[[users.alice.keys]]\naccess_key = "AL2"\nsecret_key = "alices-second"\n',
    f'[users]\nalice = {{access_key = "ALICE", secret_key = "alices-secret", role = "admin"}}\nbob = {INLINE_BOB}',
    f"users.alice = {INLINE_BOB.replace('BOB', 'ALICE')}\n\n" + FILE[FILE.index("[users.") :].partition("\n\n")[2],
]


@given(st.sampled_from(LAYOUTS), st.lists(st.sampled_from([disable("alice"), disable("bob"), add("zoe"), add("max")])))
def test_a_change_does_what_it_says_to_every_layout_or_nothing(text, changes):
    for change in changes:
        expected = tomllib.loads(text)
        change(expected)
        try:
            text = change_text(text, change)
        except ValueError as error:
            assert "edit it by hand" in str(error)
        else:
            assert tomllib.loads(text) == expected
            users.parse(text)
