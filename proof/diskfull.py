"""Every operation on a full disk, with ever a little more room: ``python -m proof.diskfull DIRECTORY...``.

The directories should be mounts of their own that nobody minds being filled,
of at most a GiB: anything else is refused.  See docs/reliability.rst for how
to make some.
"""

from __future__ import annotations

import argparse
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.contract.support import CREATE, Client, fired
from tests.powercut_store import open_client, view
from zs3.errors import S3Error
from zs3.store.values import Attributes

_LARGEST = 1 << 30
_BLOCK = 4096
#: How much room there is: none, a few blocks, and up to more than any operation needs.
ROOM = (0, 1, 2, 3, 4, 6, 8, 12, 16, 32, 64, 128, 512, 2048)
OLD = b"old" * 5000
LARGE = b"large" * 300_000
PART = b"x" * (5 << 20)


def fill(path: Path, leave: int) -> None:
    """Take all room of a file system with one file but `leave` bytes, roughly."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        size = 1 << 20
        while size >= _BLOCK:
            try:
                os.write(fd, b"\1" * size)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                size //= 2
        os.fsync(fd)
        if leave:
            os.ftruncate(fd, max(0, os.fstat(fd).st_size - leave))
            os.fsync(fd)
    finally:
        os.close(fd)


def _begun(client: Client) -> Any:
    upload = client.begin("key")
    return upload, [client.part(upload, 1, PART), client.part(upload, 2, OLD)]


def _emptied(client: Client) -> None:
    with suppress(S3Error):
        fired(client.store.create_bucket("emptied"))


def _nothing(client: Client) -> None:
    client.delete("new/deep/key")
    with suppress(S3Error):
        fired(client.store.delete_bucket("another"))


OPERATIONS: dict[str, tuple[Callable[[Client], Any], Callable[[Client, Any], Any]]] = {
    "PUT": (_nothing, lambda client, _: client.put("key", b"new")),
    "PUT of a record in a sidecar": (
        _nothing,
        lambda client, _: client.put("key", b"new", attributes=Attributes({}, {"k": "v" * 3000})),
    ),
    "PUT, large, in new directories": (_nothing, lambda client, _: client.put("new/deep/key", LARGE, condition=CREATE)),
    "PUT that displaces": (lambda client: client.delete("key/below"), lambda client, _: client.put("key/below", b"1")),
    "CopyObject": (_nothing, lambda client, _: client.copy("large", "key")),
    "PutObjectTagging": (
        lambda client: client.put("key", OLD),
        lambda client, _: client.change("key", tags={"k": "v" * 3000}),
    ),
    "CreateMultipartUpload": (_nothing, lambda client, _: client.begin("key")),
    "UploadPart": (_begun, lambda client, begun: client.part(begun[0], 2, LARGE)),
    "CompleteMultipartUpload": (_begun, lambda client, begun: client.complete(*begun)),
    "DeleteUpload": (
        _begun,
        lambda client, begun: fired(client.store.abort_upload("bucket", "key", begun[0].upload_id)),
    ),
    "DeleteObject": (_nothing, lambda client, _: client.delete("key")),
    "CreateBucket": (_nothing, lambda client, _: fired(client.store.create_bucket("another"))),
    "DeleteBucket": (_emptied, lambda client, _: fired(client.store.delete_bucket("emptied"))),
}


def _fresh(mount: Path) -> Client:
    shutil.rmtree(mount / "data", ignore_errors=True)
    (mount / "data").mkdir()
    client = open_client(mount / "data")
    fired(client.store.create_bucket("bucket"))
    client.put("key", OLD)
    client.put("large", LARGE)
    return client


def _try(mount: Path, name: str, room: int) -> tuple[str, list[str]]:
    """How an operation ends with this many blocks left, and what is wrong with that."""
    prepare, run = OPERATIONS[name]
    client = _fresh(mount)
    wrong = []
    try:
        prepared = prepare(client)
        before = view(client)
        filler = mount / "filler"
        fill(filler, room * _BLOCK)
        try:
            run(client, prepared)
            end = "done"
        except S3Error as error:
            end = error.code
            # A bucket without its id, or directories, may stay; what was visible stays as it was.
            if view(client) not in (before, before | {"another": ({}, [])}):
                wrong.append("it failed and changed something")
        if end not in ("done", "StorageFull"):
            wrong.append(f"answered {end}, not StorageFull")
        if name.startswith("Delete") and end != "done":
            wrong.append("a deletion failed")
        if rubbish := [path for path in (mount / "data").glob(".zs3/tmp/*/*") if path.name != "owner"]:
            wrong.append(f"these stay: {rubbish}")
        # Full to the brim, deletions work, and a new daemon serves.
        fill(filler, 0)
        again = open_client(mount / "data")
        if view(again) != view(client):
            wrong.append("a new daemon sees something else")
        again.delete("large")
        if "large" in again.listed():
            wrong.append("it was not deleted")
        filler.unlink()
        # btrfs gives room back when it has committed that.
        subprocess.run(["sync", "-f", mount], check=True)
        run(client, prepare(client)) if name != "CopyObject" else client.copy("key", "other")
        fired(again.store.stop())
    except Exception as error:
        wrong.append(f"{error!r}")
        end = "failed"
    finally:
        (mount / "filler").unlink(missing_ok=True)
        with suppress(Exception):
            fired(client.store.stop())
    return end, wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proof.diskfull", description=__doc__)
    parser.add_argument("directories", type=Path, nargs="+", metavar="DIRECTORY")
    options = parser.parse_args()
    violations = 0
    for mount in options.directories:
        room = os.statvfs(mount)
        if not os.path.ismount(mount) or room.f_blocks * room.f_frsize > _LARGEST:
            print(f"{mount} is no mount of its own, or too large to be filled")
            return 2
        tried = refused = 0
        for name in OPERATIONS:
            for blocks in ROOM:
                end, wrong = _try(mount, name, blocks)
                tried += 1
                refused += end == "StorageFull"
                for each in wrong:
                    violations += 1
                    print(f"{mount.name}: {name} with {blocks} blocks left: {each}", flush=True)
        print(f"{mount.name}: {tried} operations, {refused} were told StorageFull", flush=True)
    print(f"{violations} violations")
    return bool(violations)


if __name__ == "__main__":
    sys.exit(main())
