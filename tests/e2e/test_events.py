"""Event notifications to a webhook, as who receives them sees it."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.certificates import self_signed
from tests.e2e.conftest import Run
from tests.e2e.daemon import ACCESS_KEY, REGION, SECRET_KEY, Daemon, running
from tests.e2e.test_awscli import command
from tests.e2e.webhook import Receiver, key_of, receiving, targets_file
from tests.e2e.workers import wait_until

DOCS = Path(__file__).parents[2] / "docs"
ARN = "arn:aws:sqs:us-east-1:000000000000:hook"
EVERYTHING = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"]

#: What is not answered shall not be sent again.
NO_RETRIES = Config(retries={"total_max_attempts": 1})

Connect = Callable[[Daemon], Any]


@pytest.fixture
def connect() -> Iterator[Connect]:
    with ExitStack() as stack:

        def connect(daemon: Daemon) -> Any:
            session = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION)
            return stack.enter_context(closing(session.client("s3", endpoint_url=daemon.plain.url, config=NO_RETRIES)))

        yield connect


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def configure(s3: Any, *, events: list[str] = EVERYTHING, suffix: str = "", **options: Any) -> None:
    rules = [{"Name": "suffix", "Value": suffix}]
    queue = {"QueueArn": ARN, "Events": events, "Filter": {"Key": {"FilterRules": rules}}}
    s3.put_bucket_notification_configuration(
        Bucket="photos", NotificationConfiguration={"QueueConfigurations": [queue]}, **options
    )


def test_a_target_is_told_what_happens(tmp_path: Path, receiver: Receiver, connect: Connect) -> None:
    targets = targets_file(tmp_path, receiver.url, 'token = "sesame"')
    with running(tmp_path, tmp_path / "data", "--event-targets", str(targets)) as daemon:
        s3 = connect(daemon)
        s3.create_bucket(Bucket="photos")
        configure(s3, suffix=".jpg")
        assert [message["Event"] for message in receiver.messages] == ["s3:TestEvent"]
        etag = s3.put_object(Bucket="photos", Key="ü b.jpg", Body=b"12345")["ETag"]
        s3.put_object(Bucket="photos", Key="a.txt", Body=b"1")
        s3.copy_object(Bucket="photos", Key="c.jpg", CopySource="photos/a.txt")
        s3.delete_objects(Bucket="photos", Delete={"Objects": [{"Key": "ü b.jpg"}, {"Key": "c.jpg"}]})
        receiver.wait(lambda: len(receiver.records()) == 4)
        found = [(record["eventName"], key_of(record)) for record in receiver.records()]
        assert found == [
            ("ObjectCreated:Put", "ü b.jpg"),
            ("ObjectCreated:Copy", "c.jpg"),
            ("ObjectRemoved:Delete", "ü b.jpg"),
            ("ObjectRemoved:Delete", "c.jpg"),
        ]
        about = receiver.records()[0]["s3"]["object"]
        assert (about["size"], about["eTag"]) == (5, etag.strip('"'))
        sequencers = [record["s3"]["object"]["sequencer"] for record in receiver.records()]
        assert sequencers == sorted(sequencers)
        assert receiver.headers["Authorization"] == "Bearer sesame"
        assert receiver.headers["User-Agent"] == "zs3"
        assert "sesame" not in daemon.log()


def test_what_was_answered_before_a_kill_is_delivered_after_the_next_start(
    tmp_path: Path, receiver: Receiver, connect: Connect
) -> None:
    targets = targets_file(tmp_path, receiver.url)
    daemon = Daemon(tmp_path, tmp_path / "data", "--event-targets", str(targets))
    (tmp_path / "data").mkdir()
    daemon.start()
    s3 = connect(daemon)
    s3.create_bucket(Bucket="photos")
    configure(s3)
    receiver.status = 503
    for number in range(5):
        s3.put_object(Bucket="photos", Key=str(number))
    receiver.wait(lambda: receiver.refused > 0)
    daemon.kill()
    assert receiver.records() == []
    receiver.status = 200
    daemon.start()
    assert [key_of(record) for record in receiver.wait_for_keys("4")] == ["0", "1", "2", "3", "4"]
    daemon.stop()


def test_a_target_that_is_away_gets_it_all_when_it_is_back(tmp_path: Path, connect: Connect) -> None:
    with receiving() as receiver:
        port, messages = receiver.port, receiver.messages
        targets = targets_file(tmp_path, receiver.url, "batch = 100")
        stack = ExitStack()
        daemon = stack.enter_context(running(tmp_path, tmp_path / "data", "--event-targets", str(targets)))
        s3 = connect(daemon)
        s3.create_bucket(Bucket="photos")
        configure(s3)
        messages.clear()
    with stack:
        for number in range(50):
            s3.put_object(Bucket="photos", Key=f"{number:02}")
        with receiving(port, receiver):
            receiver.wait_for_keys("49")
            assert [key_of(record) for record in receiver.records()] == [f"{number:02}" for number in range(50)]
            assert len(messages) < 50
    assert "the target hook does not take events" in daemon.log()
    assert "the target hook takes events again" in daemon.log()


def test_no_redirect_is_followed(tmp_path: Path, receiver: Receiver, connect: Connect) -> None:
    targets = targets_file(tmp_path, receiver.url)
    receiver.status = 302
    with running(tmp_path, tmp_path / "data", "--event-targets", str(targets)) as daemon:
        s3 = connect(daemon)
        s3.create_bucket(Bucket="photos")
        with pytest.raises(ClientError, match="Unable to validate"):
            configure(s3)
        assert receiver.refused == 1
        assert "QueueConfigurations" not in s3.get_bucket_notification_configuration(Bucket="photos")
        configure(s3, SkipDestinationValidation=True)
        assert receiver.refused == 1


def test_the_workers_deliver_each_event_once_and_in_the_order_of_its_key(
    tmp_path: Path, receiver: Receiver, connect: Connect
) -> None:
    targets = targets_file(tmp_path, receiver.url)
    with running(tmp_path, tmp_path / "data", "--event-targets", str(targets), "--workers", "3") as daemon:
        clients = [connect(daemon) for _ in range(9)]
        clients[0].create_bucket(Bucket="photos")
        configure(clients[0])
        for number in range(10):
            for client in clients:
                client.put_object(Bucket="photos", Key=f"k{number}")
        receiver.wait(lambda: len(receiver.records()) >= 90)
        for number in range(10):
            of_key = [record for record in receiver.records() if key_of(record) == f"k{number}"]
            assert len(of_key) == 9
            sequencers = [record["s3"]["object"]["sequencer"] for record in of_key]
            assert sequencers == sorted(sequencers)


def test_the_examples_of_the_manual(tmp_path: Path, receiver: Receiver, run: Run) -> None:
    targets = tmp_path / "targets.toml"
    targets.touch(0o600)
    text = (DOCS / "targets.toml").read_text()
    targets.write_text(text.replace("https://hooks.example/photos", receiver.url))
    with running(tmp_path, tmp_path / "data", "--event-targets", str(targets)) as daemon:
        aws = command(run, daemon.plain)
        aws("s3", "mb", "s3://photos")
        example = DOCS / "notification.json"
        arguments = ("--bucket", "photos", "--notification-configuration", f"file://{example}")
        aws("s3api", "put-bucket-notification-configuration", *arguments)
        found = json.loads(aws("s3api", "get-bucket-notification-configuration", "--bucket", "photos"))
        wanted = json.loads(example.read_text())
        for rule in wanted["QueueConfigurations"][0]["Filter"]["Key"]["FilterRules"]:
            rule["Name"] = rule["Name"].title()  # as AWS gives it back
        assert found == wanted
        (tmp_path / "a").write_bytes(b"x")
        aws("s3", "cp", str(tmp_path / "a"), "s3://photos/2024/a.jpg")
        receiver.wait_for_keys("2024/a.jpg")
        aws("s3api", "put-bucket-notification-configuration", *arguments[:3], "{}")
        assert aws("s3api", "get-bucket-notification-configuration", "--bucket", "photos") == ""


def test_no_answered_write_is_without_an_event_whenever_the_daemon_is_killed(
    tmp_path: Path, receiver: Receiver, connect: Connect
) -> None:
    targets = targets_file(tmp_path, receiver.url, "batch = 10")
    (tmp_path / "data").mkdir()
    daemon = Daemon(tmp_path, tmp_path / "data", "--event-targets", str(targets), "--workers", "2", "--no-watch")
    answered: list[str] = []

    def write(who: int) -> None:
        client = connect(daemon)
        with suppress(Exception):  # the daemon is killed meanwhile
            for number in range(1000):
                key = f"{rounds}-{who}-{number}"
                client.put_object(Bucket="photos", Key=key)
                answered.append(key)

    for rounds in range(4):
        daemon.start()
        if not rounds:
            s3 = connect(daemon)
            s3.create_bucket(Bucket="photos")
            configure(s3)
        before = len(answered)
        threads = [threading.Thread(target=write, args=(who,)) for who in range(4)]
        for thread in threads:
            thread.start()
        wait_until(lambda wanted=before + 20 * (rounds + 1): len(answered) > wanted, daemon)  # type: ignore[misc]
        daemon.kill()
        for thread in threads:
            thread.join()
    daemon.start()
    receiver.wait_for_keys(*answered)
    assert len(answered) > 200
    daemon.stop()


def test_what_expires_is_told(tmp_path: Path, receiver: Receiver, connect: Connect) -> None:
    targets = targets_file(tmp_path, receiver.url)
    arguments = ("--event-targets", str(targets), "--lifecycle-day", "1")
    with running(tmp_path, tmp_path / "data", *arguments) as daemon:
        s3 = connect(daemon)
        s3.create_bucket(Bucket="photos")
        configure(s3, events=["s3:LifecycleExpiration:*"])
        s3.put_object(Bucket="photos", Key="old")
        rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
        s3.put_bucket_lifecycle_configuration(Bucket="photos", LifecycleConfiguration={"Rules": [rule]})
        (record,) = receiver.wait_for_keys("old")
        assert record["eventName"] == "LifecycleExpiration:Delete"
        assert record["userIdentity"]["principalId"] == "s3.amazonaws.com"


def test_a_file_of_targets_that_is_wrong_ends_the_start(tmp_path: Path) -> None:
    targets = targets_file(tmp_path, "ftp://nowhere")
    daemon = Daemon(tmp_path, tmp_path, "--event-targets", str(targets))
    with pytest.raises(AssertionError, match="the daemon ended"):
        daemon.start()
    assert "--event-targets" in daemon.log()
    assert "targets.hook: url must be" in daemon.log()
    assert daemon.wait() == 1


def test_a_target_is_known_by_its_certificate(tmp_path: Path, connect: Connect) -> None:
    key, certificate = tmp_path / "target-key.pem", tmp_path / "target.pem"
    for path, pem in zip((key, certificate), self_signed(), strict=True):
        path.write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with receiving(context=context) as receiver:
        targets = targets_file(tmp_path, receiver.url)
        with running(tmp_path, tmp_path / "data", "--event-targets", str(targets)) as daemon:
            s3 = connect(daemon)
            s3.create_bucket(Bucket="photos")
            with pytest.raises(ClientError, match="Unable to validate"):
                configure(s3)
            targets_file(tmp_path, receiver.url, f'ca = "{certificate}"')
            os.kill(daemon.pid, signal.SIGHUP)
            wait_until(lambda: "event targets reloaded" in daemon.log(), daemon)
            configure(s3)
            s3.put_object(Bucket="photos", Key="a")
            receiver.wait_for_keys("a")


def test_of_an_endless_answer_no_more_is_read_than_its_status(tmp_path: Path, connect: Connect) -> None:
    taken: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                taken.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:
                    connection.sendall(bytes(65536))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        targets = targets_file(tmp_path, f"http://127.0.0.1:{listener.getsockname()[1]}")
        with running(tmp_path, tmp_path / "data", "--event-targets", str(targets)) as daemon:
            s3 = connect(daemon)
            s3.create_bucket(Bucket="photos")
            configure(s3)
            for key in ("one", "other"):
                s3.put_object(Bucket="photos", Key=key)
            wait_until(lambda: b'"key":"other"' in b"".join(taken), daemon)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_target_that_does_not_answer_in_time_is_asked_again(tmp_path: Path, connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        targets = targets_file(tmp_path, f"http://127.0.0.1:{port}/hook", "timeout = 1")
        stack = ExitStack()
        daemon = stack.enter_context(running(tmp_path, tmp_path / "data", "--event-targets", str(targets)))
        s3 = connect(daemon)
        s3.create_bucket(Bucket="photos")
        configure(s3, SkipDestinationValidation=True)
        s3.put_object(Bucket="photos", Key="a")
        wait_until(lambda: "it did not answer in time" in daemon.log(), daemon)
    with stack, receiving(port) as receiver:
        receiver.wait_for_keys("a")
