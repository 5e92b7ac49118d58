"""Roles and the users file."""

import os
import re
import struct
from dataclasses import replace

import pytest

from zs3.auth import users
from zs3.auth.users import User

ALICE = """
[users.alice]
access_key = "ALICE"
secret_key = "alice's-\\"secret\\""
role = "writer"
buckets = ["photos", "music"]

[users.bob]
access_key = "BOB"
secret_key = "bobs-secret"
role = "reader"
"""


SEVERAL = """
[users.alice]
access_key = "ALICE"
secret_key = "alices-secret"
role = "writer"
account = "family"
buckets = ["photos"]

[[users.alice.keys]]
access_key = "ALICE2"
secret_key = "alices-second"
created = 2026-11-23T05:00:00Z

[[users.alice.keys]]
access_key = "ALICE3"
secret_key = "alices-third"
enabled = false

[users.bob]
role = "reader"

[[users.bob.keys]]
access_key = "BOB"
secret_key = "bobs-secret"
enabled = true
"""


def write(path, text=ALICE, mode=0o600):
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return str(path)


def user(role="admin", buckets=None):
    return User("KEY", "secret-key", role, buckets, "name")


def acl(*entries):
    """The extended attribute of a POSIX ACL with (tag, permissions, id) entries."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *each) for each in entries)


def test_file_gives_users_by_access_key(tmp_path):
    loaded = users.load(write(tmp_path / "users"))
    assert loaded == {
        "ALICE": User("ALICE", 'alice\'s-"secret"', "writer", frozenset({"photos", "music"}), "alice"),
        "BOB": User("BOB", "bobs-secret", "reader", None, "bob"),
    }


def test_a_user_acts_for_the_account_that_is_named_or_the_default_one(tmp_path):
    loaded = users.load(write(tmp_path / "users", ALICE + 'account = "bobs-family"\n'))
    assert (loaded["ALICE"].account, loaded["BOB"].account) == ("default", "bobs-family")


def test_the_key_pairs_of_a_user_are_one_identity():
    loaded = users.parse(SEVERAL)
    alice = User("ALICE", "alices-secret", "writer", frozenset({"photos"}), "alice", "family")
    assert loaded == {
        "ALICE": alice,
        "ALICE2": replace(alice, access_key="ALICE2", secret_key="alices-second"),
        "ALICE3": replace(alice, access_key="ALICE3", secret_key="alices-third", enabled=False),
        "BOB": User("BOB", "bobs-secret", "reader", None, "bob"),
    }


def test_no_key_pair_of_a_disabled_user_is_enabled():
    loaded = users.parse(SEVERAL.replace('role = "writer"', 'role = "writer"\nenabled = false'))
    assert [each for each in loaded if loaded[each].enabled] == ["BOB"]


@pytest.mark.parametrize(
    ("role", "read", "write"), [("admin", True, True), ("writer", True, True), ("reader", True, False)]
)
def test_role_decides_what_a_user_may(role, read, write):
    for bucket in ("photos", None):
        assert user(role).may("read", bucket) is read
        assert user(role).may("write", bucket) is write


@pytest.mark.parametrize("role", users.ROLES)
def test_list_of_buckets_excludes_all_others(role):
    restricted = user(role, frozenset({"photos"}))
    assert restricted.may("read", "photos")
    assert not restricted.may("read", "music")
    assert not restricted.may("write", "music")
    assert restricted.may("read", None), "ListBuckets is answered, filtered"


def test_an_empty_list_of_buckets_is_none_not_all():
    assert not user("reader", frozenset()).may("read", "photos")


def test_secret_is_not_in_the_repr():
    assert "secret-key" not in repr(user())


@pytest.mark.parametrize(
    "each",
    [
        user("writer", frozenset({"b", "a"})),
        replace(user("reader"), account="family"),
        User("A+@~.-_9", "quote\"back\\slash'", "admin", None, 'na"me\\'),
    ],
)
def test_rendered_user_reads_back(each):
    assert users.parse(users.render(each)) == {each.access_key: each}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o611])
def test_file_open_to_others_is_refused(tmp_path, mode):
    path = write(tmp_path / "users", mode=mode)
    with pytest.raises(ValueError, match=re.escape(path) + ": others can read"):
        users.load(path)


@pytest.mark.parametrize(
    ("entries", "accepted"),
    [
        # as systemd's LoadCredential= hands a file over: one named user, the mask shows as group bits
        ([(0x01, 4, 0), (0x02, 4, os.getuid()), (0x04, 0, 0), (0x10, 4, 0), (0x20, 0, 0)], True),
        ([(0x01, 4, 0), (0x02, 4, os.getuid() + 1), (0x04, 0, 0), (0x10, 4, 0), (0x20, 0, 0)], False),
        ([(0x01, 4, 0), (0x02, 4, os.getuid()), (0x04, 4, 0), (0x10, 4, 0), (0x20, 0, 0)], False),
        ([(0x01, 4, 0), (0x02, 4, os.getuid()), (0x04, 0, 0), (0x08, 4, 5), (0x10, 4, 0), (0x20, 0, 0)], False),
        ([(0x01, 4, 0), (0x02, 4, os.getuid()), (0x04, 0, 0), (0x10, 4, 0), (0x20, 4, 0)], False),
    ],
    ids=["our-user", "another-user", "owning-group", "named-group", "everybody"],
)
def test_permissions_of_an_acl_are_those_of_its_entries(monkeypatch, tmp_path, entries, accepted):
    path = write(tmp_path / "users", mode=0o440)
    monkeypatch.setattr(os, "getxattr", lambda fd, name: acl(*entries))
    if accepted:
        assert "ALICE" in users.load(path)
    else:
        with pytest.raises(ValueError, match="others can read"):
            users.load(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path}/none: No such file")):
        users.load(f"{tmp_path}/none")


def test_directory_and_fifo_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(ValueError, match="fifo: is not a file"):
        users.load(f"{tmp_path}/fifo")
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path}: ")):
        users.load(str(tmp_path))


def test_huge_file_is_refused(tmp_path):
    path = write(tmp_path / "users", "#" * (users.MAX_FILE_SIZE + 1))
    with pytest.raises(ValueError, match="is larger than"):
        users.load(path)


def test_file_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "users"
    path.write_bytes(b'[users."\xff"]\n')
    path.chmod(0o600)
    with pytest.raises(ValueError, match="is not UTF-8"):
        users.load(str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no user in it"),
        ("[users]", "there is no user in it"),
        ("users = 3", "there is no user in it"),
        ("[user.alice]", "unknown setting 'user'"),
        ("[users.alice", "Expected ']'"),
        ("[users]\nalice = 3", r"users\.alice: must be a table"),
        (ALICE.replace("buckets", "bucket"), r"users\.alice: unknown setting 'bucket'"),
        (ALICE.replace('"writer"', '"root"'), r"users\.alice: role must be one of"),
        (ALICE.replace('"writer"', '["writer"]'), r"users\.alice: role must be one of"),
        (ALICE.replace('"writer"', '"admin"'), r"users\.alice: an admin has every bucket"),
        (ALICE.replace('"ALICE"', '"A/B"'), r"users\.alice: access_key must"),
        (ALICE.replace('"ALICE"', '"AL\\nICE"'), r"users\.alice: access_key must"),
        (ALICE.replace('"ALICE"', '"ALICE\\n"'), r"users\.alice: access_key must"),
        (ALICE.replace('"ALICE"', "7"), r"users\.alice: access_key must"),
        (ALICE.replace('"BOB"', '"ALICE"'), r"users\.bob: access_key is that of users\.alice"),
        (ALICE + 'account = "a b"', r"users\.bob: account must"),
        (ALICE + 'account = "@nobody"', r"users\.bob: account must"),
        (ALICE + 'account = ""', r"users\.bob: account must"),
        (ALICE + "account = 7", r"users\.bob: account must"),
        (ALICE.replace('"bobs-secret"', '"short"'), r"users\.bob: secret_key must"),
        (ALICE.replace('"bobs-secret"', '"bobs secret"'), r"users\.bob: secret_key must"),
        (ALICE.replace('["photos", "music"]', '"photos"'), r"users\.alice: buckets must be a list"),
        (ALICE.replace('"music"', "3"), r"users\.alice: buckets must be a list"),
        (SEVERAL.replace("ALICE3", "BOB"), r"users\.bob: access_key is that of users\.alice"),
        (SEVERAL.replace("ALICE3", "ALICE"), r"users\.alice: access_key is that of users\.alice"),
        (SEVERAL.replace("enabled = false", "enabled = 0"), r"users\.alice: enabled must be true or false"),
        (ALICE + "enabled = 'yes'", r"users\.bob: enabled must be true or false"),
        (ALICE + "created = 2026-11-23T05:00:00Z", r"users\.bob: unknown setting 'created'"),
        (SEVERAL.replace("05:00:00Z", "05:00:00"), r"users\.alice: created must be"),
        (SEVERAL.replace("2026-11-23T05:00:00Z", "'today'"), r"users\.alice: created must be"),
        (SEVERAL + "role = 'admin'", r"users\.bob: unknown setting 'role'"),
        (SEVERAL.replace('secret_key = "alices-secret"', ""), r"users\.alice: secret_key must"),
        (SEVERAL.replace('access_key = "ALICE"', ""), r"users\.alice: access_key must"),
        (SEVERAL.replace('access_key = "ALICE3"', ""), r"users\.alice: access_key must"),
        (SEVERAL.replace('secret_key = "bobs-secret"', ""), r"users\.bob: secret_key must"),
        ('[users.bob]\nrole = "reader"', r"users\.bob: access_key must"),
        ('[users.bob]\nrole = "reader"\nkeys = []', r"users\.bob: there is no key pair"),
        ('[users.bob]\nrole = "reader"\nkeys = [3]', r"users\.bob: keys must be tables"),
        (ALICE + 'keys = "BOB2"', r"users\.bob: keys must be tables"),
    ],
)
def test_mistake_is_told_with_file_and_entry_and_without_the_secret(tmp_path, text, message):
    path = write(tmp_path / "users", text)
    with pytest.raises(ValueError, match=message) as caught:
        users.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "secret" not in str(caught.value).replace("secret_key", "")


def test_a_file_of_another_user_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "users.toml"
    path.write_text('[users.a]\naccess_key = "ALICE"\nsecret_key = "alices-secret"\nrole = "admin"\n')
    path.chmod(0o600)
    assert set(users.load(str(path))) == {"ALICE"}
    real = os.fstat
    monkeypatch.setattr("zs3.auth.users.os.fstat", lambda fd: os.stat_result((*real(fd)[:4], 4711, *real(fd)[5:10])))
    with pytest.raises(ValueError, match="belongs to another user"):
        users.load(str(path))


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o775])
def test_a_private_file_in_a_directory_that_others_can_write_to_is_refused(tmp_path, mode):
    path = tmp_path / "users.toml"
    path.write_text('[users.a]\naccess_key = "ALICE"\nsecret_key = "alices-secret"\nrole = "admin"\n')
    path.chmod(0o600)
    tmp_path.chmod(mode)
    assert users.load(str(path))
    with pytest.raises(ValueError, match="others can write to this directory"):
        users.load(str(path), private=True)
    tmp_path.chmod(0o755)
    assert users.load(str(path), private=True)
