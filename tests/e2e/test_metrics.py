"""`--metrics`: boto3's requests and what is told of them, by one process and by workers that die."""

from __future__ import annotations

import os
import select
import signal
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.e2e.daemon import ACCESS_KEY, ENDED, METRICS, PATIENCE, REGION, SECRET_KEY, Daemon, Endpoint, running
from tests.e2e.injection import can_trace, strace
from tests.e2e.workers import only, pids, wait_until
from tests.monitoring import asked_for, queries
from tests.scrape import Scrape, check

MIB = 1 << 20


def get(url: str, accept: str = "text/plain") -> tuple[int, str]:
    request = urllib.request.Request(url, headers={"Accept": accept})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def scrape(daemon: Daemon) -> Scrape:
    status, text = get(f"{daemon.metrics.url}/metrics")
    assert status == 200, text
    return Scrape(text)


def shared_directories(parent: int) -> list[str]:
    """Where the workers of that daemon count, as they have it mapped."""
    found = set()
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        for line in Path(f"/proc/{child}/maps").read_text().splitlines():
            if "zs3-metrics-" in line:
                found.add(os.path.dirname(line.split(maxsplit=5)[5]))
    return sorted(found)


@contextmanager
def troubled(home: Path, data: Path, *arguments: str) -> Iterator[Daemon]:
    """As `running`, for a daemon that has reason to log errors."""
    data.mkdir()
    daemon = Daemon(home, data, "--metrics", METRICS, *arguments)
    daemon.start()
    try:
        yield daemon
    except BaseException:
        daemon.kill()
        raise
    daemon.terminate()
    assert daemon.wait() == ENDED
    assert "Unhandled" not in daemon.log()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "daemon"
    home.mkdir()
    return home


@pytest.fixture
def client_of() -> Iterator[Callable[..., Any]]:
    """Makes boto3 clients with one connection."""
    with ExitStack() as stack:

        def make(endpoint: Endpoint, secret: str = SECRET_KEY) -> Any:
            config = Config(max_pool_connections=1, retries={"total_max_attempts": 1})
            session = boto3.session.Session(ACCESS_KEY, secret, region_name=REGION)
            return stack.enter_context(closing(session.client("s3", endpoint_url=endpoint.url, config=config)))

        yield make


def test_what_boto3_did_is_what_is_told(home: Path, tmp_path: Path, client_of: Callable[..., Any]) -> None:
    with running(home, tmp_path / "data", "--metrics", METRICS, "--threads", "3") as daemon:
        s3 = client_of(daemon.plain)
        s3.create_bucket(Bucket="photos")
        for number in range(7):
            s3.put_object(Bucket="photos", Key=f"key-{number}", Body=b"x" * 1000)
        for number in range(5):
            assert len(s3.get_object(Bucket="photos", Key=f"key-{number}")["Body"].read()) == 1000
        s3.list_objects_v2(Bucket="photos")
        s3.delete_object(Bucket="photos", Key="key-0")
        with pytest.raises(ClientError):
            s3.get_object(Bucket="photos", Key="absent")
        with pytest.raises(ClientError):
            client_of(daemon.plain, "wrong-secret").list_buckets()
        upload = s3.create_multipart_upload(Bucket="photos", Key="large")["UploadId"]
        part = s3.upload_part(Bucket="photos", Key="large", UploadId=upload, PartNumber=1, Body=b"y" * MIB)
        s3.complete_multipart_upload(
            Bucket="photos",
            Key="large",
            UploadId=upload,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
        )
        assert s3.get_object(Bucket="photos", Key="large")["Body"].read() == b"y" * MIB

        found = scrape(daemon)
        check(found.text)
        counts = {
            (labels["operation"], labels["status"], labels["bucket"]): value
            for labels, value in found.samples["zs3_requests_total"]
        }
        assert counts == {
            ("CreateBucket", "200", "photos"): 1,
            ("PutObject", "200", "photos"): 7,
            ("GetObject", "200", "photos"): 6,
            ("GetObject", "404", "photos"): 1,
            ("ListObjectsV2", "200", "photos"): 1,
            ("DeleteObject", "204", "photos"): 1,
            ("-", "403", "-"): 1,
            ("CreateMultipartUpload", "200", "photos"): 1,
            ("UploadPart", "200", "photos"): 1,
            ("CompleteMultipartUpload", "200", "photos"): 1,
        }
        assert found("zs3_request_duration_seconds_count") == sum(counts.values())
        # boto3 sends chunks with a signature and a checksum, which are more bytes than the content.
        assert 7000 + MIB <= found("zs3_received_bytes_total", bucket="photos") < 7000 + MIB + 10_000
        assert 5000 + MIB <= found("zs3_sent_bytes_total", bucket="photos") < 5000 + MIB + 10_000
        assert found("zs3_errors_total", code="NoSuchKey") == 1
        assert found("zs3_authentication_failures_total", code="SignatureDoesNotMatch") == 1
        assert found("zs3_multipart_uploads_total", event="completed") == 1
        assert found("zs3_connections") == 2
        assert found("zs3_requests_in_flight") == 0
        assert (found("zs3_threads"), found("zs3_threads_busy"), found("zs3_thread_queue_length")) == (3, 0, 0)
        # At least the file and the directory of every object.
        assert found("zs3_fsync_duration_seconds_count") >= 2 * 8
        assert found("zs3_listing_cache_lookups_total") >= 1
        there = os.statvfs(daemon.data)
        assert found("zs3_disk_size_bytes") == there.f_blocks * there.f_frsize
        assert found("zs3_ready") == found("zs3_build_info") == found("zs3_workers") == 1
        assert found.labels("process_cpu_seconds_total", "worker") == {"0"}
        for query in queries():
            for name, labels in asked_for(query):
                assert name in found.samples, name
                there, _ = found.samples[name][0]
                assert labels <= {*there, "job", "instance"}, query
        assert found("process_start_time_seconds") > 1_700_000_000


def test_openmetrics_is_told_by_the_daemon_too(home: Path, tmp_path: Path) -> None:
    with running(home, tmp_path / "data", "--metrics", METRICS) as daemon:
        status, text = get(f"{daemon.metrics.url}/metrics", "application/openmetrics-text; version=1.0.0")
        assert status == 200
        assert text.endswith("# EOF\n")


def test_workers_that_die_take_no_count_with_them(home: Path, tmp_path: Path, client_of: Callable[..., Any]) -> None:
    with troubled(home, tmp_path / "data", "--workers", "2") as daemon:
        (directory,) = shared_directories(daemon.pid)
        assert not directory.startswith(str(daemon.data))
        clients = {}
        for number in (1, 2):
            clients[number] = client_of(daemon.plain)
            with only(daemon, number):
                clients[number].list_buckets()
        clients[1].create_bucket(Bucket="photos")
        for number, times in ((1, 3), (2, 5)):
            for each in range(times):
                clients[number].put_object(Bucket="photos", Key=f"{number}-{each}", Body=b"x" * 100)
        # A client has its answer before that is counted, and a worker may be held up just then.
        wait_until(lambda: scrape(daemon)("zs3_requests_total", operation="PutObject") == 8, daemon)
        for number in (1, 2):
            with only(daemon, number):
                found = scrape(daemon)
            check(found.text)
            assert found("zs3_requests_total", operation="PutObject", status="200", bucket="photos") == 8
            assert found("zs3_requests_total", operation="ListBuckets") == 2
            assert found("zs3_connections") == 2
            assert found("zs3_workers") == 2
            assert found.labels("process_resident_memory_bytes", "worker") == {"0", "1", "2"}

        for life in range(1, 3):
            before, killed = scrape(daemon), pids(daemon)[2]
            os.kill(killed, signal.SIGKILL)
            wait_until(lambda killed=killed: pids(daemon)[2] != killed, daemon)  # type: ignore[misc]
            after = scrape(daemon)
            for name, samples in before.samples.items():
                if name.endswith(("_total", "_bucket", "_count", "_sum")) and not name.startswith("process_"):
                    for labels, value in samples:
                        assert after(name, **labels) >= value, f"{name}{labels} went backwards"
            assert after("zs3_requests_total", operation="PutObject") == 8 + life - 1
            # What was connected to the dead one is not any more.
            assert after("zs3_connections") == 1
            again = client_of(daemon.plain)
            with only(daemon, 2):
                again.put_object(Bucket="photos", Key="again", Body=b"")
                found = scrape(daemon)
            assert found("zs3_connections") == 2
            wait_until(
                lambda n=8 + life: scrape(daemon)("zs3_requests_total", operation="PutObject") == n,  # type: ignore[misc]
                daemon,
            )
            again.close()
            wait_until(lambda: scrape(daemon)("zs3_connections") == 1, daemon)
        assert shared_directories(daemon.pid) == [directory]
        assert len([name for name in os.listdir(directory) if name.startswith("table-")]) == 4
    assert not os.path.exists(directory)


def test_counters_never_go_backwards_while_workers_die(
    home: Path, tmp_path: Path, client_of: Callable[..., Any]
) -> None:
    stop, stored, broken = threading.Event(), [], []

    def write(name: str) -> None:
        client = client_of(daemon.plain)
        while not stop.is_set():
            try:
                client.put_object(Bucket="photos", Key=name, Body=b"x")
                stored.append(name)
            except BotoCoreError as error:
                broken.append(error)

    with troubled(home, tmp_path / "data", "--workers", "2") as daemon, ThreadPoolExecutor(3) as threads:
        client_of(daemon.plain).create_bucket(Bucket="photos")
        writing = [threads.submit(write, name) for name in "abc"]
        last = 0.0
        try:
            for number in (1, 2, 1):
                killed, sofar = pids(daemon)[number], len(stored)
                wait_until(lambda n=sofar: len(stored) > n + 10, daemon)  # type: ignore[misc]
                os.kill(killed, signal.SIGKILL)
                while pids(daemon)[number] == killed:
                    counted = scrape_of_the_living(daemon)
                    assert counted >= last
                    last = counted
        finally:
            stop.set()
        for each in writing:
            each.result()
        # Of each client one request may have been under way when its worker was killed: stored and not counted, or
        # counted and not known to be stored.
        counted = scrape(daemon)("zs3_requests_total", operation="PutObject", status="200")
        assert len(stored) > 30
        assert abs(counted - len(stored)) <= 3 * 3


def scrape_of_the_living(daemon: Daemon) -> float:
    """A scrape that is tried again where its worker was killed meanwhile."""
    while True:
        try:
            return scrape(daemon)("zs3_requests_total")
        except OSError:
            continue


def test_what_a_killed_daemon_leaves_in_memory_the_next_one_removes(home: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    daemon = Daemon(home, tmp_path / "data", "--metrics", METRICS, "--workers", "2")
    daemon.start()
    (left,) = shared_directories(daemon.pid)
    workers = [os.pidfd_open(pid) for pid in pids(daemon).values()]
    daemon.kill()
    for fd in workers:
        with open(fd):
            assert select.select([fd], [], [], PATIENCE)[0]
    assert os.path.exists(left)
    daemon.start()
    assert not os.path.exists(left)
    daemon.stop()


@pytest.mark.skipif(not can_trace(), reason="strace is missing or may not trace")
def test_a_disk_that_failed_in_one_worker_has_failed_for_all(
    home: Path, tmp_path: Path, client_of: Callable[..., Any]
) -> None:
    with troubled(home, tmp_path / "data", "--workers", "2") as daemon:
        client_of(daemon.plain).create_bucket(Bucket="photos")
        with only(daemon, 1):
            failing = client_of(daemon.plain)
            failing.put_object(Bucket="photos", Key="a", Body=b"")
        process = pids(daemon)[1]
        with (
            strace([process], "-f", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO"),
            pytest.raises(ClientError, match="InternalError"),
        ):
            failing.put_object(Bucket="photos", Key="b", Body=b"")
        for number in (1, 2):
            with only(daemon, number):
                wait_until(lambda: get(f"{daemon.plain.url}/-/ready") == (503, "io-error\n"), daemon)
                found = scrape(daemon)
                assert (found("zs3_ready"), found("zs3_disk_failed")) == (0, 1)
        os.kill(process, signal.SIGKILL)
        wait_until(lambda: pids(daemon)[1] != process, daemon)
        with only(daemon, 1):
            # Another process does not make the disk better.
            assert get(f"{daemon.plain.url}/-/ready") == (503, "io-error\n")
            assert get(f"{daemon.plain.url}/-/live") == (200, "ok\n")


def test_the_health_is_told_at_both_places_to_everybody(home: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with troubled(home, data) as daemon:
        for url in (daemon.plain.url, daemon.metrics.url):
            assert get(f"{url}/-/live") == get(f"{url}/-/ready") == (200, "ok\n")
        data.rename(tmp_path / "elsewhere")
        data.mkdir()
        for url in (daemon.plain.url, daemon.metrics.url):
            wait_until(lambda url=url: get(f"{url}/-/ready") == (503, "not-there\n"), daemon)  # type: ignore[misc]
            assert get(f"{url}/-/live") == (200, "ok\n")
        assert scrape(daemon)("zs3_ready") == 0
        data.rmdir()
        (tmp_path / "elsewhere").rename(data)
        wait_until(lambda: get(f"{daemon.plain.url}/-/ready") == (200, "ok\n"), daemon)
        assert daemon.log().count("not ready: not-there") == 1
        assert daemon.log().count("ready again") == 1
        assert get(f"{daemon.metrics.url}/")[0] == 404
        # They belong to no bucket.
        assert scrape(daemon).labels("zs3_requests_total", "bucket") == {"-"}
