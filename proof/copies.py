"""What CompleteMultipartUpload and CopyObject move, and how: ``python -m proof.copies DIRECTORY...``.

For each directory, e.g. one on ext4, xfs and btrfs: the wall time and CPU time of the daemon for some sizes, and by
strace how many bytes went through user space and how many copy_file_range moved or shared.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from tests.e2e.daemon import ACCESS_KEY, REGION, SECRET_KEY, Daemon
from tests.e2e.injection import disk_threads, strace

MIB = 1 << 20
PART = 16 * MIB
_MOVING = "trace=read,pread64,readv,preadv,preadv2,write,pwrite64,writev,pwritev,pwritev2,copy_file_range,sendfile"


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _upload(s3: Any, key: str, parts: int, size: int) -> Callable[[], Any]:
    named = {"Bucket": "bucket", "Key": key}
    upload = s3.create_multipart_upload(**named)["UploadId"]
    body = os.urandom(size)
    etags = [
        s3.upload_part(**named, UploadId=upload, PartNumber=number, Body=body)["ETag"] for number in range(1, parts + 1)
    ]
    listed = {"Parts": [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]}
    return lambda: s3.complete_multipart_upload(**named, UploadId=upload, MultipartUpload=listed)


def _measured(daemon: Daemon, name: str, run: Callable[[], Any], again: Callable[[], Any]) -> None:
    os.sync()
    cpu, start = _cpu_s(daemon.pid), time.monotonic()
    run()
    wall, cpu = time.monotonic() - start, _cpu_s(daemon.pid) - cpu
    with strace(disk_threads(daemon), "-e", _MOVING) as lines:
        again()
    moved: Counter[str] = Counter()
    for line in lines:
        found = re.match(r"(?:\d+ +)?(\w+)\(.* = (\d+)$", line)
        if found is not None:
            moved[found[1] if found[1] == "copy_file_range" else "through user space"] += int(found[2])
    told = ", ".join(f"{count} bytes {what}" for what, count in moved.items())
    print(f"  {name}: {wall * 1000:.0f} ms, {cpu * 1000:.0f} ms of CPU; {told}", flush=True)


def _run(directory: Path) -> None:
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory(dir=directory) as data:
        daemon = Daemon(Path(home), Path(data).absolute(), "--threads", "2")
        daemon.start()
        session = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION)
        config = Config(s3={"payload_signing_enabled": False}, request_checksum_calculation="when_required")
        s3 = session.client("s3", endpoint_url=daemon.plain.url, config=config)
        try:
            s3.create_bucket(Bucket="bucket")
            for parts, size in ((1, PART), (1, 16 * PART), (4, PART), (16, PART)):
                name = f"Complete of {parts} x {size // MIB} MiB"
                _measured(daemon, name, _upload(s3, "key", parts, size), _upload(s3, "key2", parts, size))
                if (parts, size) != (1, PART):
                    copy = {"Bucket": "bucket", "CopySource": "bucket/key"}
                    _measured(
                        daemon,
                        f"Copy of {parts * size // MIB} MiB",
                        lambda copy=copy: s3.copy_object(**copy, Key="copy"),  # type: ignore[misc]
                        lambda copy=copy: s3.copy_object(**copy, Key="copy"),  # type: ignore[misc]
                    )
                for key in ("key", "key2", "copy"):
                    s3.delete_object(Bucket="bucket", Key=key)
        finally:
            s3.close()
            daemon.kill()


if __name__ == "__main__":
    for each in sys.argv[1:]:
        print(each)
        _run(Path(each))
