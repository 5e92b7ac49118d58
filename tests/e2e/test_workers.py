"""`--workers 2`: both serve, one can die, all of them end, and the file system alone keeps them in step."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.e2e.daemon import ACCESS_KEY, ENDED, PATIENCE, REGION, SECRET_KEY, Daemon, running
from tests.e2e.plainhttp import fetch, head, presigned, read_continue, read_response
from tests.e2e.workers import only, pids, wait_until, watched

MIB = 1 << 20
#: More than the kernel's buffers on both sides of a connection hold: its download is not over before it is read.
MUCH = 32 * MIB
ROUNDS = 25


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "daemon"
    home.mkdir()
    return home


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with two workers, for tests that do it no harm."""
    home = tmp_path_factory.mktemp("pair")
    with running(home, home / "data", "--workers", "2") as daemon:
        yield daemon


@pytest.fixture
def clients(pair: Daemon) -> Iterator[list[Any]]:
    """Two boto3 clients, each with one connection, of which each is to another worker."""
    with ExitStack() as stack:
        yield [stack.enter_context(closing(boto3_client(pair, number))) for number in (1, 2)]


@pytest.fixture
def connections(pair: Daemon) -> Iterator[list[http.client.HTTPConnection]]:
    """Two plain connections likewise."""
    with ExitStack() as stack:
        yield [stack.enter_context(closing(connection_to(pair, number))) for number in (1, 2)]


def boto3_client(daemon: Daemon, number: int) -> Any:
    """A client that keeps the one connection it has to this worker."""
    config = Config(max_pool_connections=1, retries={"total_max_attempts": 1})
    session = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION)
    client = session.client("s3", endpoint_url=daemon.plain.url, config=config)
    with only(daemon, number):
        client.list_buckets()
    return client


def connection_to(daemon: Daemon, number: int) -> http.client.HTTPConnection:
    """A connection that this worker has accepted."""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.plain.port, timeout=PATIENCE)
    with only(daemon, number):
        connection.request("GET", "/")
        connection.getresponse().read()
    return connection


def worker_of(response: Any) -> str:
    """What is the same in all answers of one worker."""
    found: str = response["ResponseMetadata"]["HTTPHeaders"]["x-amz-id-2"]
    return found


def status_of(
    connection: http.client.HTTPConnection, target: str, method: str, body: bytes = b"", headers: Any = None
) -> int:
    connection.request(method, target, body, headers or {})
    response = connection.getresponse()
    response.read()
    return response.status


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """The results of functions that are called at the same moment."""
    barrier = threading.Barrier(len(calls), timeout=PATIENCE)

    def call(f: Callable[[], Any]) -> Any:
        barrier.wait()
        return f()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(call, calls))


class SlowUpload:
    """A PUT of two halves to one worker; the second is sent on demand."""

    def __init__(self, daemon: Daemon, number: int, target: str, content: bytes) -> None:
        self.rest = content[len(content) // 2 :]
        with only(daemon, number):
            self.connection = socket.create_connection(("127.0.0.1", daemon.plain.port), PATIENCE)
            fields = {"Host": daemon.plain.address, "Content-Length": str(len(content)), "Expect": "100-continue"}
            self.connection.sendall(head("PUT", target, fields))
            read_continue(self.connection)
        self.connection.sendall(content[: len(content) // 2])

    def finish(self) -> int:
        with closing(self.connection):
            self.connection.sendall(self.rest)
            return read_response(self.connection).status


def ended_in_good_order(daemon: Daemon) -> None:
    assert daemon.wait() == ENDED
    daemon.check_log()


# Serving


def test_both_workers_serve_boto3_and_see_what_the_other_wrote(pair: Daemon, clients: list[Any], bucket: str) -> None:
    one, other = clients
    first = worker_of(one.create_bucket(Bucket=bucket))
    second = worker_of(other.head_bucket(Bucket=bucket))
    assert first != second
    assert worker_of(one.put_object(Bucket=bucket, Key="k", Body=b"content")) == first
    answer = other.get_object(Bucket=bucket, Key="k")
    assert answer["Body"].read() == b"content"
    assert worker_of(answer) == second
    assert worker_of(other.put_object(Bucket=bucket, Key="a", Body=b"")) == second
    assert [each["Key"] for each in one.list_objects_v2(Bucket=bucket)["Contents"]] == ["a", "k"]
    other.delete_object(Bucket=bucket, Key="k")
    with pytest.raises(one.exceptions.NoSuchKey):
        one.get_object(Bucket=bucket, Key="k")


def test_tls_is_served_by_both(pair: Daemon, bucket: str) -> None:
    workers = set()
    for number in pids(pair):
        with only(pair, number):
            answer = fetch(pair.tls, "/")
        assert answer.status == 403
        workers.add(answer.headers["x-amz-id-2"])
    assert len(workers) == 2


def test_of_create_only_writes_one_wins(
    pair: Daemon, connections: list[http.client.HTTPConnection], bucket: str
) -> None:
    (pair.data / bucket).mkdir()
    for round_ in range(ROUNDS):
        target = presigned(pair.plain, "PUT", bucket, f"k{round_}")
        bodies = [b"first", b"second"]
        statuses = at_once(
            [
                lambda c=c, body=body, target=target: status_of(c, target, "PUT", body, {"If-None-Match": "*"})
                for c, body in zip(connections, bodies, strict=True)
            ]
        )
        assert sorted(statuses) in ([200, 409], [200, 412])
        assert (pair.data / bucket / f"k{round_}").read_bytes() == bodies[statuses.index(200)]


def test_of_writes_over_the_same_etag_one_wins(
    pair: Daemon, connections: list[http.client.HTTPConnection], clients: list[Any], bucket: str
) -> None:
    clients[0].create_bucket(Bucket=bucket)
    etag = clients[0].put_object(Bucket=bucket, Key="k", Body=b"0")["ETag"]
    target = presigned(pair.plain, "PUT", bucket, "k")
    for round_ in range(ROUNDS):
        bodies = [b"%d-%d" % (number, round_) for number in range(2)]
        statuses = at_once(
            [
                lambda c=c, body=body, etag=etag: status_of(c, target, "PUT", body, {"If-Match": etag})
                for c, body in zip(connections, bodies, strict=True)
            ]
        )
        assert sorted(statuses) in ([200, 409], [200, 412])
        now = clients[round_ % 2].get_object(Bucket=bucket, Key="k")
        assert now["Body"].read() == bodies[statuses.index(200)]
        assert now["ETag"] != etag
        etag = now["ETag"]


def test_parts_may_come_by_different_workers_and_the_upload_is_completed_once(
    pair: Daemon, clients: list[Any], bucket: str
) -> None:
    one, other = clients
    one.create_bucket(Bucket=bucket)
    upload = {"Bucket": bucket, "Key": "large"}
    upload["UploadId"] = one.create_multipart_upload(**upload)["UploadId"]
    bodies = [b"1" * 5 * MIB, b"2" * 5 * MIB, b"3"]
    by = [one, other, one]
    at_once([lambda n=n: by[n].upload_part(**upload, PartNumber=n + 1, Body=bodies[n]) for n in (0, 1)])
    by[2].upload_part(**upload, PartNumber=3, Body=bodies[2])
    parts = [{"PartNumber": each["PartNumber"], "ETag": each["ETag"]} for each in other.list_parts(**upload)["Parts"]]
    assert [each["PartNumber"] for each in parts] == [1, 2, 3]
    answers = at_once(
        [lambda c=c: c.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}) for c in clients]
    )
    assert answers[0]["ETag"] == answers[1]["ETag"]
    for client in clients:
        found = client.get_object(Bucket=bucket, Key="large")
        assert found["ETag"] == answers[0]["ETag"]
        assert found["Body"].read() == b"".join(bodies)
        assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)


def test_a_bucket_is_deleted_or_written_never_both(pair: Daemon, clients: list[Any], bucket: str) -> None:
    one, other = clients

    def code(call: Callable[..., Any], **arguments: Any) -> str:
        try:
            call(**arguments)
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return ""

    seen = set()
    for round_ in range(ROUNDS):
        name = f"{bucket}-{round_}"
        one.create_bucket(Bucket=name)
        deleted, written = at_once(
            [
                lambda name=name: code(one.delete_bucket, Bucket=name),
                lambda name=name: code(other.put_object, Bucket=name, Key="dir/k", Body=b"content"),
            ]
        )
        seen.add((deleted, written))
        assert (deleted, written) in {("", "NoSuchBucket"), ("BucketNotEmpty", "")}
        assert (pair.data / name).exists() == (written == "")
        if written == "":
            assert one.get_object(Bucket=name, Key="dir/k")["Body"].read() == b"content"
    assert seen


# Living


def test_a_killed_worker_is_replaced_and_nobody_is_refused(home: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "bucket").mkdir(parents=True)
    daemon = Daemon(home, tmp_path / "data", "--workers", "2")
    daemon.start()
    try:
        stop = threading.Event()
        broken: list[Exception] = []
        stored: list[str] = []

        def traffic(name: str) -> None:
            count = 0
            while not stop.is_set():
                count += 1
                key = f"{name}-{count}"
                try:
                    if fetch(daemon.plain, presigned(daemon.plain, "PUT", "bucket", key), "PUT", b"x").status == 200:
                        stored.append(key)
                except ConnectionRefusedError:
                    raise
                except (OSError, http.client.HTTPException) as error:
                    broken.append(error)

        with ThreadPoolExecutor(3) as threads:
            running = [threads.submit(traffic, name) for name in "abc"]
            try:
                for _ in range(2):
                    before = pids(daemon)
                    sofar = len(stored)
                    wait_until(lambda n=sofar: len(stored) > n, daemon)  # type: ignore[misc]
                    os.kill(before[1], signal.SIGKILL)
                    wait_until(lambda pid=before[1]: pids(daemon)[1] != pid, daemon)  # type: ignore[misc]
                    assert pids(daemon)[2] == before[2]
            finally:
                stop.set()
            for each in running:
                each.result()  # ConnectionRefusedError comes out here
        # Only what a killed worker was busy with broke off.
        assert len(broken) <= 2 * 3
        assert all((daemon.data / "bucket" / key).read_bytes() == b"x" for key in stored)
        log = daemon.log()
        told = r"#error\] worker 1 \(process \d+\) ended \(signal 9\), another is started (.*)$"
        assert re.findall(told, log, re.MULTILINE) == ["now", "in 0.5 s"]
        assert "Traceback" not in log
    except BaseException:
        daemon.kill()
        raise
    daemon.terminate()
    assert daemon.wait() == ENDED


def test_the_start_of_a_worker_leaves_the_uploads_of_the_others_alone(home: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "bucket").mkdir(parents=True)
    content = b"upload" * (MIB // 6)
    daemon = Daemon(home, tmp_path / "data", "--workers", "2")
    daemon.start()
    try:
        living = SlowUpload(daemon, 1, presigned(daemon.plain, "PUT", "bucket", "living"), content)
        dying = SlowUpload(daemon, 2, presigned(daemon.plain, "PUT", "bucket", "dying"), content)
        wait_until(lambda: len(temporary_files(daemon.data)) == 2, daemon)
        old = pids(daemon)[2]
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: pids(daemon)[2] != old, daemon)
        assert len(temporary_files(daemon.data)) == 1, "the new one has removed what the dead one left, and no more"
        assert living.finish() == 200
        dying.connection.close()
        assert (daemon.data / "bucket" / "living").read_bytes() == content
        assert not (daemon.data / "bucket" / "dying").exists()
    finally:
        daemon.kill()


def temporary_files(data: Path) -> list[Path]:
    return [
        path for path in (data / ".zs3" / "tmp").rglob("*") if path.is_file() and path.name not in ("lock", "owner")
    ]


def test_sighup_reaches_all(home: Path, tmp_path: Path) -> None:
    log, rotated = tmp_path / "access.log", tmp_path / "access.log.1"
    with running(home, tmp_path / "data", "--workers", "2", "--access-log", str(log)) as daemon:
        connections = [connection_to(daemon, number) for number in (1, 2)]
        log.rename(rotated)
        os.kill(daemon.pid, signal.SIGHUP)
        wait_until(lambda: daemon.log().count("access log reloaded") == 2, daemon)
        before = rotated.read_text()
        for connection in connections:
            with closing(connection):
                assert status_of(connection, presigned(daemon.plain, "GET", "after", "k"), "GET") == 404
        wait_until(lambda: len(log.read_text().splitlines()) == 2, daemon)
        assert all('"after/k"' in line for line in log.read_text().splitlines())
        assert rotated.read_text() == before
        assert len(before.splitlines()) == 2


def test_lines_of_both_in_one_access_log_are_whole(home: Path, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with running(home, tmp_path / "data", "--workers", "2", "--access-log", str(log)) as daemon:
        connections = [connection_to(daemon, number) for number in (1, 2)]
        key = "k" * 900
        target = presigned(daemon.plain, "GET", "bucket", key)

        def ask(connection: http.client.HTTPConnection) -> None:
            with closing(connection):
                for _ in range(100):
                    assert status_of(connection, target, "GET") == 404

        at_once([lambda c=c: ask(c) for c in connections])
    lines = [line for line in log.read_text().splitlines() if "bucket/" in line]
    assert len(lines) == 200
    whole = rf'\S+ 127\.0\.0\.1 {ACCESS_KEY} GetObject "bucket/{key}" 404 NoSuchBucket 0 \d+ \S+ \w+'
    assert all(re.fullmatch(whole, each) for each in lines)


# Ending


def test_sigterm_lets_the_transfers_of_all_workers_end(home: Path, tmp_path: Path) -> None:
    content = bytes(range(256)) * (MUCH // 256)
    (tmp_path / "data" / "bucket").mkdir(parents=True)
    (tmp_path / "data" / "bucket" / "download").write_bytes(content)
    with running(home, tmp_path / "data", "--workers", "2") as daemon, watched(list(pids(daemon).values())) as gone:
        endpoint = daemon.plain
        download = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=PATIENCE)
        with only(daemon, 1):
            download.request("GET", presigned(endpoint, "GET", "bucket", "download"))
            response = download.getresponse()
            first = response.read(1000)
        upload = SlowUpload(daemon, 2, presigned(endpoint, "PUT", "bucket", "upload"), content)
        idle = connection_to(daemon, 1)
        assert idle.sock is not None

        daemon.terminate()
        daemon.wait_for_state("STOPPING=1")
        assert idle.sock.recv(1) == b""
        wait_until(lambda: refuses(endpoint.port), daemon)

        assert first + response.read() == content
        assert upload.finish() == 200
        ended_in_good_order(daemon)
        gone()
        idle.close()
        download.close()
        assert (tmp_path / "data" / "bucket" / "upload").read_bytes() == content
        assert os.listdir(tmp_path / "data" / ".zs3" / "tmp") == ["lock"]
        daemon.start()


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass
    return False


@pytest.mark.parametrize("how", ["timeout", "second signal"])
def test_the_drain_of_all_workers_is_bounded(home: Path, tmp_path: Path, how: str) -> None:
    (tmp_path / "data" / "bucket").mkdir(parents=True)
    limit = "0.1" if how == "timeout" else "3600"
    with running(home, tmp_path / "data", "--workers", "2", "--drain-timeout", limit) as daemon:
        upload = SlowUpload(daemon, 2, presigned(daemon.plain, "PUT", "bucket", "k"), b"x" * MIB)
        daemon.terminate()
        if how == "second signal":
            daemon.wait_for_state("STOPPING=1")
            daemon.terminate()
        ended_in_good_order(daemon)
        assert "[worker 2, zs3.service#warn] requests that were still running are cut" in daemon.log()
        upload.connection.close()
        assert os.listdir(tmp_path / "data" / ".zs3" / "tmp") == ["lock"]
        daemon.start()


def test_a_sigterm_to_all_processes_at_once_is_one_sigterm(home: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "bucket").mkdir(parents=True)
    with running(home, tmp_path / "data", "--workers", "2") as daemon:
        upload = SlowUpload(daemon, 1, presigned(daemon.plain, "PUT", "bucket", "k"), b"x" * MIB)
        for pid in (daemon.pid, *pids(daemon).values()):
            os.kill(pid, signal.SIGTERM)
        daemon.wait_for_state("STOPPING=1")
        assert upload.finish() == 200
        ended_in_good_order(daemon)
        daemon.start()


def test_a_worker_may_be_replaced_by_sigterm(home: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "bucket").mkdir(parents=True)
    with running(home, tmp_path / "data", "--workers", "2") as daemon:
        upload = SlowUpload(daemon, 1, presigned(daemon.plain, "PUT", "bucket", "k"), b"x" * MIB)
        old = pids(daemon)[1]
        os.kill(old, signal.SIGTERM)
        assert upload.finish() == 200
        wait_until(lambda: pids(daemon)[1] != old, daemon)
        assert f"#info] worker 1 (process {old}) ended (exit status 0), another is started now" in daemon.log()


def test_kill_9_of_the_parent_ends_the_workers(home: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "bucket").mkdir(parents=True)
    daemon = Daemon(home, tmp_path / "data", "--workers", "2")
    daemon.start()
    workers = list(pids(daemon).values())
    assert len(workers) == 2
    with watched(workers) as gone:
        upload = SlowUpload(daemon, 2, presigned(daemon.plain, "PUT", "bucket", "k"), b"x" * MIB)
        os.kill(workers[0], signal.SIGSTOP)  # even one that does nothing any more
        port = daemon.plain.port
        daemon.kill()
        gone()
        upload.connection.close()
        assert refuses(port)
    daemon.start()
    assert temporary_files(daemon.data) == []
    daemon.stop()
