"""The store on a clustered file system, which says ESTALE of what another host has removed or replaced.

`clustered` lets the local one do so, as GlusterFS does by FUSE: attributes go with the last name of a file, and a
directory that was removed answers nothing, be it asked for itself or for what is in it.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.support import CREATE, Client, fired, open_client
from zs3.errors import S3Error
from zs3.store import buckets, kernel, paths

#: Those that take descriptors of directories, by these names.
_CALLS = ("stat", "open", "mkdir", "rmdir", "unlink", "rename", "link")
_KEYWORDS = ("dir_fd", "src_dir_fd", "dst_dir_fd")
#: Called once, before the call of that name that is given: another host comes in between.
Rival = Callable[[str, Callable[[], object]], None]


def _refuse_if_gone(fd: object) -> None:
    if isinstance(fd, int) and fd >= 0 and _real_fstat(fd).st_nlink == 0:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


_real_fstat = os.fstat


def _is_about_objects(name: str, fd: object) -> bool:
    if not isinstance(fd, int) or fd < 0:
        return False
    path = os.readlink(f"/proc/self/fd/{fd}")
    return "/.zs3" not in path and "/bucket" in path and (name != "getxattr" or path.endswith("/key"))


@pytest.fixture
def rival(monkeypatch: pytest.MonkeyPatch) -> Rival:
    """Let the local file system be a clustered one; and let another host come in."""
    waiting: dict[str, Callable[[], object]] = {}
    slept: list[float] = []
    monkeypatch.setattr(paths.time, "sleep", slept.append)
    # What is local is looked at in another way.
    monkeypatch.setattr(buckets, "is_local", lambda _: False)

    def wrap(module: Any, name: str, fds: Callable[..., list[object]]) -> None:
        real = getattr(module, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if name in waiting and any(_is_about_objects(name, each) for each in fds(*args, **kwargs)):
                waiting.pop(name)()
            for each in fds(*args, **kwargs):
                _refuse_if_gone(each)
            return real(*args, **kwargs)

        monkeypatch.setattr(module, name, call)

    for name in _CALLS:
        wrap(os, name, lambda *_, **given: [given.get(each) for each in _KEYWORDS])
    for name in ("listdir", "scandir", "getxattr"):
        wrap(os, name, lambda fd, *_, **__: [fd])
    wrap(os, "fstat", lambda fd: [fd] if stat.S_ISDIR(_real_fstat(fd).st_mode) else [])
    wrap(kernel, "openat2", lambda fd, *_: [fd])
    wrap(kernel, "rename_new", lambda _, fd, *__: [fd])

    return waiting.__setitem__


@pytest.fixture
def client(rival: Rival, data: Path) -> Client:
    client = open_client(data)
    fired(client.store.create_bucket("bucket"))
    return client


@pytest.fixture
def other(client: Client, data: Path) -> Client:
    """That of another host."""
    return open_client(data)


def test_who_opened_what_is_just_replaced_reads_what_replaced_it(client: Client, other: Client, rival: Rival) -> None:
    client.put("key", b"old")
    rival("getxattr", lambda: other.put("key", b"newer"))
    assert client.get("key") == b"newer"
    rival("getxattr", lambda: other.put("key", b"newest"))
    assert [each.size for each in client.page().objects] == [6]
    rival("getxattr", lambda: other.delete("key"))
    assert client.listed() == []


def test_what_is_replaced_at_each_look_is_an_error_and_no_loop(
    client: Client, rival: Rival, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put("key")

    def stale(*_: object) -> bytes:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(os, "getxattr", stale)
    with pytest.raises(S3Error, match="SlowDown"):
        client.get("key")


@pytest.mark.parametrize("call", ["openat2", "stat", "rename"])
def test_a_directory_that_is_pruned_under_a_put_is_made_again(
    client: Client, other: Client, rival: Rival, data: Path, call: str
) -> None:
    client.put("a/b/key")

    def prune() -> None:
        other.delete("a/b/key")
        assert not (data / "bucket/a").exists()

    rival(call, prune)
    client.put("a/b/other", b"whole")
    assert client.get("a/b/other") == b"whole"
    assert client.listed() == ["a/b/other"]


def test_a_directory_that_is_pruned_under_a_create_is_made_again(client: Client, other: Client, rival: Rival) -> None:
    client.put("a/key")
    rival("rename_new", lambda: other.delete("a/key"))
    client.put("a/other", condition=CREATE)
    assert client.listed() == ["a/other"]


@pytest.mark.parametrize("call", ["fstat", "scandir"])
def test_a_directory_that_is_pruned_under_a_listing_is_empty(
    client: Client, other: Client, rival: Rival, call: str
) -> None:
    client.put("a/key")
    client.put("b/key")

    def prune() -> None:
        other.delete("a/key")
        other.delete("b/key")

    rival(call, prune)
    assert client.listed() in ([], ["b/key"])


def test_a_bucket_that_is_removed_under_a_put_is_none(client: Client, rival: Rival, data: Path) -> None:
    client.put("key")
    rival("rename", lambda: shutil.rmtree(data / "bucket"))
    with pytest.raises(Exception, match="NoSuchBucket"):
        client.put("other")


# The servers of the file system cannot be reached


def _cut_off(monkeypatch: pytest.MonkeyPatch, name: str, below: str) -> None:
    """Let calls of that name fail for what is at a path with `below` in it."""
    real = getattr(os, name)

    def call(path: Any, *args: Any, **kwargs: Any) -> Any:
        told = os.readlink(f"/proc/self/fd/{path}").encode() if isinstance(path, int) else os.fsencode(path)
        if below.encode() in told:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, name, call)


@pytest.mark.parametrize("name", ["config", "buckets/"])
def test_what_is_configured_is_not_nothing_where_it_cannot_be_read(
    client: Client, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    client.configure(policy={"Statement": []})
    with monkeypatch.context() as patch:
        _cut_off(patch, "lstat", name)
        # Not from what is in memory.
        with pytest.raises(OSError, match="not connected"):
            client.store._posix.get_configuration("bucket")
    assert fired(client.store.get_configuration("bucket"))["policy"] == {"Statement": []}


def test_a_bucket_that_cannot_be_reached_is_not_gone(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.put("key")

    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", missing)
        _cut_off(patch, "stat", "/bucket")
        with pytest.raises(S3Error, match="ServiceUnavailable"):
            client.put("key", b"new")
    assert client.get("key") == b"data"


def test_an_fsync_that_reaches_nobody_fails_its_write_alone(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.put("key", b"old")
    with monkeypatch.context() as patch:
        _cut_off(patch, "fsync", "/")
        with pytest.raises(S3Error, match="ServiceUnavailable"):
            client.put("key", b"new")
    assert client.get("key") == b"old"
    assert client.store.healthy
    client.put("key", b"newer")
    assert client.get("key") == b"newer"


def test_an_upload_stays_where_its_bucket_cannot_be_looked_for(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = client.begin("key")
    part = client.part(upload, 1, b"part")
    with monkeypatch.context() as patch:
        _cut_off(patch, "lstat", "/.zs3/buckets/")
        with pytest.raises(OSError, match="not connected"):
            open_client(data)
    assert client.complete(upload, [part]).size == 4
