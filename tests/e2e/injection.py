"""Faults in the daemon's own system calls, by strace: an errno in place of the n-th call, or a kill -9 at it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.e2e.daemon import ACCESS_KEY, PATIENCE, REGION, SECRET_KEY, Daemon

#: What opens or changes files, however it comes to be called.
CALLS = (
    *("open", "openat", "openat2", "creat", "write", "writev", "pwrite64", "pwritev", "pwritev2", "copy_file_range"),
    *("sendfile", "splice", "fallocate", "ftruncate", "truncate", "fsync", "fdatasync", "sync_file_range", "syncfs"),
    *("rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir"),
    *("setxattr", "lsetxattr", "fsetxattr", "utimensat", "chmod", "fchmod", "fchmodat", "chown", "fchown", "fchownat"),
)
ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EMFILE")
KILL = "KILL"
OLD = b"old" * 3000
NEW = b"new" * 4000
LARGE = b"large" * 300_000
PART = b"part." * 1_100_000


def can_trace() -> bool:
    """Whether strace is there and may attach to a process of ours."""
    if shutil.which("strace") is None:
        return False
    victim = subprocess.Popen(["sleep", "60"])
    try:
        with strace([victim.pid], "-e", "trace=fsync"):
            return True
    except AssertionError:
        return False
    finally:
        victim.kill()
        victim.wait()


@contextmanager
def strace(threads: list[int], *arguments: str) -> Iterator[list[str]]:
    """strace attached to these threads for a block; a list that has its lines once the block is over."""
    lines: list[str] = []
    with tempfile.NamedTemporaryFile(prefix="strace-") as output:
        attach = [word for thread in threads for word in ("-p", str(thread))]
        process = subprocess.Popen(
            ["strace", "-o", output.name, *arguments, *attach], stderr=subprocess.PIPE, text=True, bufsize=1
        )
        assert process.stderr is not None
        try:
            for _ in threads:
                line = process.stderr.readline()
                assert "attached" in line, line
            yield lines
        finally:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
            process.stderr.read()
            process.wait(PATIENCE)
            process.stderr.close()
            lines += output.read().decode().splitlines()


def disk_threads(daemon: Daemon) -> list[int]:
    """The threads of a daemon that work on the disk: all but the reactor's."""
    return sorted(int(name) for name in os.listdir(f"/proc/{daemon.pid}/task") if int(name) != daemon.pid)


@dataclass(frozen=True)
class Operation:
    """A request that changes something.

    :ivar prepare: brings about the old state; its result is given to `run`.
    :ivar new: of each key in `bucket`, what it is when all went well, bytes and number of tags; None: not there.
    :ivar old: what it was before.
    """

    name: str
    prepare: Callable[[Any], Any]
    run: Callable[[Any, Any], Any]
    old: dict[str, bytes | None]
    new: dict[str, bytes | None]


#: Few enough for an attribute: of sidecars, the number of calls differs.
TAGS = {"TagSet": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]}


def _put_old(s3: Any) -> None:
    s3.put_object(Bucket="bucket", Key="key", Body=OLD)


def _two_parts(s3: Any) -> dict[str, Any]:
    return _parts(s3, PART, NEW)


def _one_part(s3: Any) -> dict[str, Any]:
    return _parts(s3, NEW)


def _parts(s3: Any, *pieces: bytes) -> dict[str, Any]:
    _put_old(s3)
    named = {"Bucket": "bucket", "Key": "key"}
    upload_id = s3.create_multipart_upload(**named)["UploadId"]
    etags = [
        s3.upload_part(**named, UploadId=upload_id, PartNumber=number, Body=piece)["ETag"]
        for number, piece in enumerate(pieces, 1)
    ]
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    return {**named, "UploadId": upload_id, "MultipartUpload": {"Parts": parts}}


def _nothing_deep(s3: Any) -> None:
    s3.delete_object(Bucket="bucket", Key="new/deep/key")


def _empty_bucket(s3: Any) -> None:
    with suppress(ClientError):
        s3.create_bucket(Bucket="emptied")


OPERATIONS = (
    Operation(
        "PUT",
        _put_old,
        lambda s3, _: s3.put_object(Bucket="bucket", Key="key", Body=NEW, Metadata={"k": "v"}),
        {"key": OLD},
        {"key": NEW},
    ),
    Operation(
        "PUT, large, in new directories",
        _nothing_deep,
        lambda s3, _: s3.put_object(Bucket="bucket", Key="new/deep/key", Body=LARGE, IfNoneMatch="*"),
        {"new/deep/key": None},
        {"new/deep/key": LARGE},
    ),
    Operation(
        "CopyObject",
        _put_old,
        lambda s3, _: s3.copy_object(Bucket="bucket", Key="key", CopySource="bucket/other"),
        {"key": OLD},
        {"key": b"other"},
    ),
    Operation(
        "PutObjectTagging",
        _put_old,
        lambda s3, _: s3.put_object_tagging(Bucket="bucket", Key="key", Tagging=TAGS),
        {"key": OLD},
        {"key": OLD + b"2 tags"},
    ),
    Operation(
        "CompleteMultipartUpload",
        _two_parts,
        lambda s3, upload: s3.complete_multipart_upload(**upload),
        {"key": OLD},
        {"key": PART + NEW},
    ),
    Operation(
        "CompleteMultipartUpload of one part",
        _one_part,
        lambda s3, upload: s3.complete_multipart_upload(**upload),
        {"key": OLD},
        {"key": NEW},
    ),
    Operation(
        "DeleteObject",
        _put_old,
        lambda s3, _: s3.delete_object(Bucket="bucket", Key="key"),
        {"key": OLD},
        {"key": None},
    ),
    Operation("DeleteBucket", _empty_bucket, lambda s3, _: s3.delete_bucket(Bucket="emptied"), {}, {}),
)


#: The reactor is woken by a byte through a socket or pipe: that is no disk.
_NO_FILE = re.compile(r"(?:\d+ +)?\w+\(\d+<\w+:")


class Wrong(AssertionError):
    """The daemon did what it must not."""


class Victim:
    """A daemon with one thread for the disk, to which faults happen.

    :ivar injected: how many faults there were.
    """

    def __init__(self, home: Path, data: Path) -> None:
        self.data = data
        self.injected = 0
        data.mkdir(exist_ok=True)
        self.daemon = Daemon(home.absolute(), data.absolute(), "--threads", "1")
        self._start()
        with suppress(ClientError):
            self.s3.create_bucket(Bucket="bucket")
        self.s3.put_object(Bucket="bucket", Key="other", Body=b"other")

    def _start(self) -> None:
        self.daemon.start()
        session = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION)
        config = Config(
            retries={"total_max_attempts": 1},
            s3={"payload_signing_enabled": False},
            request_checksum_calculation="when_required",
            read_timeout=10,
        )
        self.s3 = session.client("s3", endpoint_url=self.daemon.plain.url, config=config)

    def restart(self) -> None:
        """End it, if it lives, start it again, and see that nothing is left of what went wrong."""
        self.s3.close()
        with suppress(ProcessLookupError):
            self.daemon.kill()
        self._start()
        self._check_no_rubbish("after a restart")

    def close(self) -> None:
        self.s3.close()
        self.daemon.kill()

    def calls(self, operation: Operation) -> list[tuple[str, int]]:
        """The calls of `CALLS` that an operation makes on files: of what kind, and which of its kind."""
        prepared = operation.prepare(self.s3)
        with strace(disk_threads(self.daemon), "-y", "-e", "trace=" + ",".join("?" + name for name in CALLS)) as lines:
            operation.run(self.s3, prepared)
            self._wait_for_the_thread()
        self._check(operation, answered=True)
        found, counts = [], Counter[str]()
        for line in lines:
            call = re.match(r"(?:\d+ +)?(\w+)\(", line)
            if call is not None:
                counts[call[1]] += 1
                if not _NO_FILE.match(line):
                    found.append((call[1], counts[call[1]]))
        return found

    def inject(self, operation: Operation, call: str, number: int, fault: str) -> None:
        """Let a fault happen at the n-th call of a kind in an operation, and see what has come of it.

        :raises Wrong: what must not be.
        """
        prepared = operation.prepare(self.s3)
        what = f"signal={fault}" if fault == KILL else f"error={fault}"
        answer: Any = None
        with strace(
            disk_threads(self.daemon), "-y", "-e", f"trace={call}", "-e", f"inject={call}:{what}:when={number}"
        ) as lines:
            try:
                operation.run(self.s3, prepared)
            except (ClientError, BotoCoreError) as error:
                answer = error
            self._wait_for_the_thread()
            if fault == KILL and not self.daemon.has_ended(PATIENCE):
                raise Wrong(f"{operation.name}: {fault} at {call} {number}: not killed")
        where = f"{operation.name}: {fault} at {call} {number}"
        hit = [line for line in lines if "(INJECTED)" in line]
        if fault != KILL and not hit:
            if call == "write" and number > 1:
                # A body came in fewer pieces than when the calls were counted.
                self.inject(operation, call, number - 1, fault)
                return
            raise Wrong(f"{where}: not injected")
        if hit and _NO_FILE.match(hit[0]):
            # A body came in other pieces than when the calls were counted.
            self.restart()
            return
        self.injected += 1
        try:
            if fault == KILL:
                self.restart()
            else:
                self._check_error(answer)
                if not call.startswith("unlink"):
                    self._check_no_rubbish("at once")
            self._check(operation, answered=answer is None)
            # And it works as ever.
            operation.run(self.s3, operation.prepare(self.s3))
            self._check(operation, answered=True)
        except Wrong as wrong:
            raise Wrong(f"{where}: {wrong}") from None
        except (ClientError, BotoCoreError) as error:
            raise Wrong(f"{where}: afterwards {error}") from None

    def _wait_for_the_thread(self) -> None:
        """Return when the one thread has done all it had to: it takes its work in turn."""
        with suppress(ClientError, BotoCoreError):
            self.s3.head_bucket(Bucket="absent")

    def _check_error(self, answer: Any) -> None:
        if answer is None:
            return
        if not isinstance(answer, ClientError):
            raise Wrong(f"no S3 error but {answer!r}")
        code = answer.response["Error"]["Code"]
        status = answer.response["ResponseMetadata"]["HTTPStatusCode"]
        # A completion is answered before it is done, as it may take long: its error comes under 200.
        if code not in ("InternalError", "StorageFull", "SlowDown", "ServiceUnavailable") or (
            status < 500 and not (status == 200 and answer.operation_name == "CompleteMultipartUpload")
        ):
            raise Wrong(f"answered {status} {code}")

    def _check_no_rubbish(self, when: str) -> None:
        rubbish = [path for path in self.data.glob(".zs3/tmp/*/*") if path.name != "owner"]
        if when == "after a restart":
            rubbish += self.data.glob(".zs3/trash/*")
        if rubbish:
            raise Wrong(f"{when} these stay: {rubbish}")

    def _check(self, operation: Operation, *, answered: bool) -> None:
        """:param answered: with success."""
        found = {key: self._get(key) for key in operation.old}
        if found not in ((operation.new,) if answered else (operation.old, operation.new)):
            raise Wrong(f"neither old nor new: { {key: value and value[:20] for key, value in found.items()} }")
        listed = {item["Key"] for item in self.s3.list_objects_v2(Bucket="bucket")["Contents"]}
        if {key for key in operation.old if found[key] is not None} != listed & operation.old.keys():
            raise Wrong(f"listed: {listed}, but got {found.keys()}")
        if self._get("other") != b"other":
            raise Wrong("another object has changed")

    def _get(self, key: str) -> bytes | None:
        try:
            response = self.s3.get_object(Bucket="bucket", Key=key)
            with closing(response["Body"]) as body:
                content: bytes = body.read()
            tags = response.get("TagCount")
            return content if tags is None else content + b"%d tags" % tags
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchKey":
                raise
            return None
