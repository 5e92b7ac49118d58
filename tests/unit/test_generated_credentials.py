"""The key pair that is made once for a data directory."""

import multiprocessing
import os
import stat

import pytest

from zs3.auth import users
from zs3.auth.generated import ensure_users_file


def test_file_is_made_once_and_is_a_users_file_with_one_admin(tmp_path):
    path = str(tmp_path / "credentials")
    assert ensure_users_file(path) is True
    before = (tmp_path / "credentials").read_bytes()
    (admin,) = users.load(path).values()
    assert admin.role == "admin"
    assert admin.buckets is None
    assert ensure_users_file(path) is False
    assert (tmp_path / "credentials").read_bytes() == before


def test_two_directories_get_different_keys(tmp_path):
    pairs = set()
    for name in ("a", "b"):
        ensure_users_file(str(tmp_path / name))
        (admin,) = users.load(str(tmp_path / name)).values()
        assert (len(admin.access_key), len(admin.secret_key)) == (20, 40)
        pairs |= {admin.access_key, admin.secret_key}
    assert len(pairs) == 4


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_mode_is_0600_whatever_the_umask(tmp_path, umask):
    old = os.umask(umask)
    try:
        ensure_users_file(str(tmp_path / "credentials"))
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "credentials").stat().st_mode) == 0o600


def test_what_others_put_there_is_left_alone(tmp_path):
    (tmp_path / "credentials").symlink_to("nowhere")
    assert ensure_users_file(str(tmp_path / "credentials")) is False
    assert not (tmp_path / "nowhere").exists()


def test_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(OSError, match="No space left"):
        ensure_users_file(str(tmp_path / "credentials"))
    assert os.listdir(tmp_path) == []


def _race(path, barrier, results):
    barrier.wait()
    made = ensure_users_file(path)
    results.put((made, next(iter(users.load(path)))))


def test_daemons_that_start_at_once_agree_on_one_pair(tmp_path):
    context = multiprocessing.get_context("forkserver")
    barrier, results = context.Barrier(4), context.Queue()
    path = str(tmp_path / "credentials")
    processes = [context.Process(target=_race, args=(path, barrier, results)) for _ in range(4)]
    for process in processes:
        process.start()
    answers = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert sorted(made for made, _ in answers) == [False, False, False, True]
    assert len({access_key for _, access_key in answers}) == 1
    assert os.listdir(tmp_path) == ["credentials"]


def test_its_directory_is_its_owners_alone(tmp_path):
    tmp_path.chmod(0o775)
    old = os.umask(0)
    try:
        path = tmp_path / "private" / "credentials"
        assert ensure_users_file(str(path))
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert users.load(str(path), private=True)
