"""What other programs change in a bucket is told, and what zs3 does is told once."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemon import Daemon, running
from tests.e2e.test_event_streams import listening
from tests.e2e.test_events import Connect, configure, connect
from tests.e2e.webhook import Receiver, key_of, receiving, targets_file
from tests.e2e.workers import pids, wait_until

__all__ = ["connect"]

OUTSIDE = "zs3:outside"


class Place:
    """A daemon that watches the bucket `photos`, and who is told.

    :ivar path: of the bucket's directory.
    """

    def __init__(self, daemon: Daemon, receiver: Receiver, s3: Any) -> None:
        self.daemon, self.receiver, self.s3 = daemon, receiver, s3
        self.path = daemon.data / "photos"

    def told(self, count: int) -> set[tuple[str, str, str]]:
        """What it was told, once these are so many: event, key, by whom."""
        self.receiver.wait(lambda: len(self.receiver.records()) >= count)
        return {
            (record["eventName"], key_of(record), record["userIdentity"]["principalId"])
            for record in self.receiver.records()
        }

    def forget(self) -> None:
        self.receiver.messages.clear()


@contextmanager
def watching(home: Path, connect: Connect, *arguments: str) -> Iterator[Place]:
    with receiving() as receiver:
        targets = targets_file(home, receiver.url)
        with running(home, home / "data", "--event-targets", str(targets), *arguments) as daemon:
            s3 = connect(daemon)
            s3.create_bucket(Bucket="photos")
            configure(s3)
            wait_until(lambda: "changes in the bucket photos by other programs are announced" in daemon.log(), daemon)
            receiver.messages.clear()
            yield Place(daemon, receiver, s3)


@pytest.fixture
def place(tmp_path: Path, connect: Connect) -> Iterator[Place]:
    with watching(tmp_path, connect) as place:
        yield place


def created(*keys: str, who: str = OUTSIDE) -> set[tuple[str, str, str]]:
    return {("ObjectCreated:Put", key, who) for key in keys}


def removed(*keys: str, who: str = OUTSIDE) -> set[tuple[str, str, str]]:
    return {("ObjectRemoved:Delete", key, who) for key in keys}


def test_a_file_that_is_copied_in_changed_and_removed(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"12345")
    subprocess.run(["cp", tmp_path / "a.jpg", place.path / "ü b.jpg"], check=True)
    assert place.told(1) == created("ü b.jpg")
    (record,) = place.receiver.records()
    head = place.s3.head_object(Bucket="photos", Key="ü b.jpg")
    assert record["s3"]["object"]["size"] == 5
    assert record["s3"]["object"]["eTag"] == head["ETag"].strip('"')
    place.forget()
    with (place.path / "ü b.jpg").open("ab") as file:
        file.write(b"6")
    assert place.told(1) == created("ü b.jpg")
    place.forget()
    (place.path / "ü b.jpg").unlink()
    assert place.told(1) == removed("ü b.jpg")


def test_a_tree_that_is_made_or_moved_in(place: Place, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "x" / "y").mkdir(parents=True)
    for name in ("a", "x/b", "x/y/c"):
        (tree / name).write_bytes(b"1")
    shutil.copytree(tree, place.path / "copied")
    assert place.told(3) == created("copied/a", "copied/x/b", "copied/x/y/c")
    place.forget()
    tree.rename(place.path / "moved")
    assert place.told(3) == created("moved/a", "moved/x/b", "moved/x/y/c")
    place.forget()
    (place.path / "moved" / "x").rename(place.path / "z")
    assert place.told(4) == created("z/b", "z/y/c") | removed("moved/x/b", "moved/x/y/c")
    place.forget()
    (place.path / "z" / "y" / "d").write_bytes(b"1")
    assert place.told(1) == created("z/y/d")
    place.forget()
    shutil.rmtree(place.path / "z")
    assert place.told(3) == removed("z/b", "z/y/c", "z/y/d")


def test_names_that_need_an_escape_and_links(place: Place, tmp_path: Path) -> None:
    (place.path / "a").mkdir()
    (place.path / ".zs3@a").write_bytes(b"beside")
    (tmp_path / "linked").write_bytes(b"1")
    os.link(tmp_path / "linked", place.path / "link")
    (place.path / "symlink").symlink_to(tmp_path / "linked")
    (place.path / os.fsdecode(b"\xff")).write_bytes(b"no key")
    assert place.told(2) == created("a", "link")


def test_what_comes_and_goes_is_not_told(place: Place) -> None:
    (place.path / "temporary").write_bytes(b"1")
    (place.path / "temporary").rename(place.path / "final")
    assert place.told(1) == created("final")


def test_what_zs3_does_is_told_once(place: Place) -> None:
    s3 = place.s3
    for number in range(20):
        s3.put_object(Bucket="photos", Key=f"d/{number}", Body=b"1")
    s3.put_object(Bucket="photos", Key="d", Body=b"beside")
    s3.put_object(Bucket="photos", Key="new", Body=b"1", IfNoneMatch="*")
    s3.copy_object(Bucket="photos", Key="copy", CopySource="photos/d/1")
    upload = s3.create_multipart_upload(Bucket="photos", Key="parts")["UploadId"]
    etag = s3.upload_part(Bucket="photos", Key="parts", UploadId=upload, PartNumber=1, Body=b"1")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    s3.complete_multipart_upload(Bucket="photos", Key="parts", UploadId=upload, MultipartUpload=parts)
    s3.put_object_tagging(Bucket="photos", Key="d/1", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    for number in range(20):
        s3.delete_object(Bucket="photos", Key=f"d/{number}")
    # Longer than it is waited for what zs3 has done: this is announced last.
    (place.path / "new").unlink()
    records = place.receiver.wait_for_keys("new") and place.told(45)
    assert {each for each in records if each[2] == OUTSIDE} == removed("new")
    assert len(place.receiver.records()) == 45


def test_versions_that_zs3_brings_back_are_not_of_others(place: Place) -> None:
    s3 = place.s3
    s3.put_bucket_versioning(Bucket="photos", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="photos", Key="a", Body=b"old")
    new = s3.put_object(Bucket="photos", Key="a", Body=b"newer")["VersionId"]
    marker = s3.delete_object(Bucket="photos", Key="a")["VersionId"]
    s3.delete_object(Bucket="photos", Key="a", VersionId=marker)
    s3.delete_object(Bucket="photos", Key="a", VersionId=new)
    (place.path / "b").write_bytes(b"1")
    assert ("ObjectCreated:Put", "b", OUTSIDE) in place.told(6)
    (place.path / "a").unlink()
    assert {each for each in place.told(7) if each[2] == OUTSIDE} == created("b") | removed("a")
    assert len(place.receiver.records()) == 7


def test_a_stream_tells_of_others_too_and_for_as_long_as_it_is_there(tmp_path: Path, connect: Connect) -> None:
    with running(tmp_path, tmp_path / "data", "--workers", "2") as daemon:
        path = daemon.data / "photos"
        path.mkdir()
        with listening(daemon) as curl:
            curl.begin()
            wait_until(lambda: "by other programs are announced" in daemon.log(), daemon)
            (path / "a").write_bytes(b"1")
            assert curl.hear() == ("ObjectCreated:Put", "a")
            connect(daemon).put_object(Bucket="photos", Key="b", Body=b"1")
            assert curl.hear() == ("ObjectCreated:Put", "b")
            (path / "c").write_bytes(b"1")
            assert curl.hear() == ("ObjectCreated:Put", "c")


def test_another_worker_takes_over_the_watch(tmp_path: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    with watching(tmp_path, connect, "--workers", "2") as place:
        log, daemon = "changes in the bucket photos by other programs are announced", place.daemon
        number = next(int(line.split("worker ")[1][0]) for line in daemon.log().splitlines() if log in line)
        os.kill(pids(daemon)[number], 9)
        wait_until(lambda: daemon.log().count(log) == 2, daemon)
        (place.path / "a").write_bytes(b"1")
        assert place.told(1) == created("a")
        monkeypatch.setattr(daemon, "check_log", lambda: None)  # it has an error: a worker was killed


def test_it_can_be_turned_off(tmp_path: Path, connect: Connect) -> None:
    with receiving() as receiver:
        targets = targets_file(tmp_path, receiver.url)
        with running(tmp_path, tmp_path / "data", "--event-targets", str(targets), "--no-watch") as daemon:
            s3 = connect(daemon)
            s3.create_bucket(Bucket="photos")
            configure(s3)
            (daemon.data / "photos" / "a").write_bytes(b"1")
            s3.put_object(Bucket="photos", Key="b")
            receiver.wait_for_keys("b")
            assert "by other programs" not in daemon.log()
