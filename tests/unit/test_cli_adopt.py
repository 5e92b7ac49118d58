"""`zs3 adopt`: what a copy of a data directory has, before and after."""

import errno
import io
import os
import shutil
import subprocess

import pytest

from tests.contract.support import Client, fired, open_client
from zs3.cli.main import main
from zs3.store.buckets import Buckets
from zs3.store.values import ENABLED, VERSIONING


def copied(source, target):
    """As a backup does it: with attributes and times, to other inodes."""
    subprocess.run(["cp", "-a", source, target], check=True)


def bodies(client: Client, bucket="photos"):
    return [client.get(info.key, bucket, info.version) for info, _ in client.versions(bucket)]


@pytest.fixture
def restored(tmp_path):
    """A copy of a data directory in which a bucket keeps versions and has tags."""
    (tmp_path / "data").mkdir()
    client = open_client(tmp_path / "data", sync=False)
    fired(client.store.create_bucket("photos"))
    client.configure("photos", **{VERSIONING: ENABLED}, tags={"kind": "cats"})
    for body in (b"one", b"two"):
        client.put("a", body, bucket="photos")
    assert bodies(client) == [b"two", b"one"]
    fired(client.store.stop())
    copied(tmp_path / "data", tmp_path / "restored")
    return tmp_path / "restored"


def adopt(data, *arguments):
    output, errors = io.StringIO(), io.StringIO()
    status = main(["adopt", "--data", str(data), *arguments], output, errors)
    return status, output.getvalue(), errors.getvalue()


def whole(data, bucket="photos"):
    """Whether the bucket has versions and configuration."""
    client = open_client(data, sync=False)
    try:
        (info,) = [each for each in fired(client.store.list_buckets()) if each.name == bucket]
        found = bodies(client, bucket), "tags" in info.configuration
    finally:
        fired(client.store.stop())
    assert found in (([b"two", b"one"], True), ([b"two"], False))
    return found[1]


def test_a_restored_bucket_has_its_versions_and_configuration_when_it_was_adopted(restored):
    assert not whole(restored)
    assert adopt(restored, "--dry-run") == (0, "photos: would be adopted\n", "")
    assert not whole(restored)
    assert adopt(restored) == (0, "photos: adopted\n", "")
    assert whole(restored)
    assert adopt(restored) == (0, "", "")
    assert adopt(restored, "photos") == (0, "photos: there is nothing to adopt\n", "")


def test_without_attributes_the_name_tells_what_it_was(restored):
    os.removexattr(restored / "photos", "user.zs3.id")
    assert adopt(restored, "photos") == (0, "photos: adopted\n", "")
    assert whole(restored)


def test_what_cannot_be_read_is_not_taken_for_nothing(restored, monkeypatch):
    os.removexattr(restored / "photos", "user.zs3.id")

    def failing(real):
        def call(path=".", **options):
            if isinstance(path, bytes) and path.endswith(b".zs3/buckets"):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(path, **options)

        return call

    with monkeypatch.context() as patch:
        for name in ("listdir", "stat"):
            patch.setattr(os, name, failing(getattr(os, name)))
        status, output, errors = adopt(restored)
        assert (status, output) == (1, "")
        assert "Input/output error" in errors
    assert adopt(restored) == (0, "photos: adopted\n", "")


def test_a_copy_beside_its_original_gets_nothing(restored):
    adopt(restored)
    copied(restored / "photos", restored / "copy")
    status, output, errors = adopt(restored, "copy")
    assert (status, output) == (1, "")
    assert errors == "zs3: copy: it is a copy of the bucket photos, which keeps what it has\n"
    # Nor if that was renamed meanwhile.
    (restored / "photos").rename(restored / "old")
    assert adopt(restored, "copy")[0] == 1
    assert whole(restored, "old")


def test_one_by_another_name_must_be_named(restored):
    (restored / "photos").rename(restored / "pictures")
    status, output, errors = adopt(restored)
    assert (status, errors) == (0, "")
    assert output.startswith("pictures: left alone; it is a copy of photos")
    assert not whole(restored, "pictures")
    assert adopt(restored, "pictures") == (0, "pictures: adopted, in the place of photos\n", "")
    assert whole(restored, "pictures")


def test_what_cannot_be_done_is_said_and_the_rest_is_done(restored):
    assert adopt(restored, "nothing", "photos") == (1, "photos: adopted\n", "zs3: nothing: there is no such bucket\n")
    shutil.rmtree(restored / ".zs3")
    status, _, errors = adopt(restored)
    assert status == 1
    assert "is no data directory" in errors


def test_one_that_cannot_be_opened_does_not_stop_the_others(restored, monkeypatch):
    real = Buckets.adopt

    def refused(store, name, **named):
        if name == "barred":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "barred")
        return real(store, name, **named)

    monkeypatch.setattr(Buckets, "adopt", refused)
    (restored / "barred").mkdir()
    assert adopt(restored) == (1, "photos: adopted\n", "zs3: barred: Permission denied\n")
    assert whole(restored)


def test_root_makes_nothing_that_the_daemon_of_another_user_could_not_read(restored, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    real = os.stat

    def of_another(path, *arguments, **named):
        status = real(path, *arguments, **named)
        if str(path) == str(restored / ".zs3"):
            fields = list(status)
            fields[4] = 1500
            return os.stat_result(fields)
        return status

    monkeypatch.setattr(os, "stat", of_another)
    status, output, errors = adopt(restored)
    assert (status, output) == (1, "")
    assert "sudo -u '#1500' zs3 adopt" in errors
    assert adopt(restored, "--dry-run") == (0, "photos: would be adopted\n", "")
    monkeypatch.undo()
    assert not whole(restored)


def test_where_two_buckets_had_the_name_none_is_guessed(restored):
    home = next((restored / ".zs3/buckets").glob("?" * 32))
    copied(home, home.with_name("0" * 32))
    os.removexattr(restored / "photos", "user.zs3.id")
    status, _, errors = adopt(restored)
    assert (status, errors) == (1, "zs3: photos: there are 2 buckets of that name that it could be\n")
