"""The operations that configure event notifications, and what operations announce."""

import json
import re
from dataclasses import replace

import pytest
from twisted.internet.defer import execute, succeed
from twisted.internet.testing import MemoryReactorClock

from tests.wire.daemon import ADMIN, BOB, READER, WRITER, Daemon, parse, texts
from zs3.events.records import record
from zs3.events.rules import NOTIFICATION, rules_of
from zs3.events.service import EventsService

QUERY = {"notification": ""}
ARN = "arn:aws:sqs:us-east-1:000000000000:hook"
TOPIC = "arn:aws:sns:us-east-1:000000000000:other"
EVERYTHING = (
    "s3:ObjectCreated:*",
    "s3:ObjectRemoved:*",
    "s3:ObjectTagging:*",
    "s3:ObjectAcl:Put",
    "s3:ObjectRetention:Put",
)


class Recorder:
    """The administrator's targets, in this process.

    :ivar told: the events that were announced, with the id of the rule that is about each.
    :ivar tests: target and message of each test.
    :ivar takes: whether tests are taken.
    """

    targets = ("hook", "other")

    def __init__(self):
        self.told, self.tests, self.takes, self.calls = [], [], True, 0

    def wanted(self, configuration, bucket):
        return NOTIFICATION in configuration

    def announce(self, configuration, owner, events):
        self.calls += 1
        for event in events:
            assert record(event, region="r", owner=owner, rule_id="", at_ns=1)
            self.told += [(rule.id, event) for rule in rules_of(configuration) if rule.is_about(event.name, event.key)]
        return succeed(None)

    def configured(self):
        return succeed(None)

    def send(self, target, message):
        self.tests.append((target, json.loads(message)))
        return succeed(self.takes)

    def take(self):
        told, self.told = self.told, []
        return [(event.name, event.key) for _, event in told]


@pytest.fixture
def events():
    return Recorder()


@pytest.fixture
def daemon(tmp_path, events):
    daemon = Daemon(tmp_path, events=events)
    yield daemon
    daemon.stop()


def document(*entries):
    return f"<NotificationConfiguration>{''.join(entries)}</NotificationConfiguration>".encode()


def queue(name="one", arn=ARN, events=("s3:ObjectCreated:*",), about="", kind="Queue"):
    named = "".join(f"<Event>{event}</Event>" for event in events)
    return f"<{kind}Configuration><Id>{name}</Id><{kind}>{arn}</{kind}>{named}{about}</{kind}Configuration>"


def about(*rules):
    entries = "".join(f"<FilterRule><Name>{name}</Name><Value>{value}</Value></FilterRule>" for name, value in rules)
    return f"<Filter><S3Key>{entries}</S3Key></Filter>"


def put(client, bucket, *entries, **headers):
    return client("PUT", bucket, QUERY, headers, document(*entries))


@pytest.fixture
def configured(client, bucket, events):
    assert put(client, bucket, queue(events=EVERYTHING)).status == 200
    return bucket


# What is configured


def test_what_was_put_is_got(client, bucket):
    topic = queue("two", TOPIC, ["s3:ObjectRemoved:Delete"], about(("prefix", "a/"), ("Suffix", "")), "Topic")
    response = put(client, bucket, queue(), topic)
    assert (response.status, response.body) == (200, b"")
    root = parse(client("GET", bucket, QUERY))
    assert [child.tag for child in root] == ["TopicConfiguration", "QueueConfiguration"]
    assert texts(root, "TopicConfiguration/Id") == ["two"]
    assert texts(root, "TopicConfiguration/Topic") == [TOPIC]
    assert texts(root, "TopicConfiguration/Filter/S3Key/FilterRule/Name") == ["Prefix", "Suffix"]
    assert [node.text or "" for node in root.iterfind(".//Value")] == ["a/", ""]
    assert texts(root, "QueueConfiguration/Event") == ["s3:ObjectCreated:*"]
    assert root.find("QueueConfiguration/Filter") is None


def test_an_empty_configuration_removes_all(client, configured, daemon, events):
    assert put(client, configured).status == 200
    assert len(parse(client("GET", configured, QUERY))) == 0
    client.put(configured + "/a", b"x")
    assert events.calls == 0


def test_a_rule_without_id_is_given_one(client, bucket):
    put(client, bucket, queue().replace("<Id>one</Id>", ""))
    assert parse(client("GET", bucket, QUERY)).findtext("QueueConfiguration/Id")


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([queue(arn="arn:aws:sqs:us-east-1:000000000000:nowhere")], "InvalidArgument"),
        ([queue(arn="arn:aws:sns:us-east-1:000000000000:hook")], "InvalidArgument"),
        ([queue(arn="http://169.254.169.254/")], "InvalidArgument"),
        ([queue(arn="hook")], "InvalidArgument"),
        ([queue(events=["s3:ObjectEaten"])], "InvalidArgument"),
        ([queue(events=["ObjectCreated:Put"])], "InvalidArgument"),
        ([queue(events=[])], "MalformedXML"),
        ([queue(), queue()], "InvalidArgument"),
        ([queue(), queue("two", events=["s3:ObjectCreated:Put"])], "InvalidArgument"),
        ([queue(about=about(("middle", "a")))], "InvalidArgument"),
        ([queue(about=about(("prefix", "a"), ("prefix", "b")))], "InvalidArgument"),
        ([queue(about=about(("prefix", "a" * 1025)))], "InvalidArgument"),
        ([queue("i" * 256)], "InvalidArgument"),
        ([queue(str(n), about=about(("prefix", f"{n:03}"))) for n in range(101)], "InvalidArgument"),
        (["<Nonsense/>"], "MalformedXML"),
        (["<EventBridgeConfiguration/>"], "NotImplemented"),
        ([queue(kind="CloudFunction")], "NotImplemented"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(client, configured, events, entries, code):
    events.tests.clear()
    response = put(client, configured, *entries)
    assert response.error_code == code
    assert texts(parse(client("GET", configured, QUERY)), "QueueConfiguration/Id") == ["one"]
    assert events.tests == []


def test_rules_that_share_no_key_do_not_overlap(client, bucket):
    jpg, png = about(("suffix", ".jpg")), about(("suffix", ".png"))
    assert put(client, bucket, queue(about=jpg), queue("two", TOPIC, about=png, kind="Topic")).status == 200


def test_each_target_is_sent_a_test_once(client, bucket, events):
    jpg, png = about(("suffix", ".jpg")), about(("suffix", ".png"))
    put(
        client,
        bucket,
        queue(about=jpg),
        queue("two", about=png),
        queue("three", TOPIC, ["s3:ObjectAcl:Put"], "", "Topic"),
    )
    assert sorted(target for target, _ in events.tests) == ["hook", "other"]
    message = events.tests[0][1]
    assert (message["Event"], message["Bucket"], message["Service"]) == ("s3:TestEvent", "photos", "Amazon S3")


def test_a_target_that_does_not_take_the_test_is_not_configured_unless_that_is_asked_for(client, bucket, events):
    events.takes = False
    response = put(client, bucket, queue())
    assert response.error_code == "InvalidArgument"
    assert b"Unable to validate" in response.body
    assert len(parse(client("GET", bucket, QUERY))) == 0
    events.tests.clear()
    assert put(client, bucket, queue(), **{"x-amz-skip-destination-validation": "true"}).status == 200
    assert events.tests == []
    assert len(parse(client("GET", bucket, QUERY))) == 1


def test_who_may_configure(daemon, client, bucket):
    assert put(daemon.client(READER), bucket, queue()).error_code == "AccessDenied"
    assert put(daemon.client(None), bucket, queue()).error_code == "AccessDenied"
    assert daemon.client(None)("GET", bucket, QUERY).error_code == "AccessDenied"
    assert put(daemon.client(WRITER), bucket, queue()).status == 200
    assert put(client, "/missing", queue()).error_code == "NoSuchBucket"


# What is announced


def test_nothing_is_announced_of_a_bucket_without_a_configuration(client, bucket, events):
    client.put(bucket + "/a", b"x")
    client("DELETE", bucket + "/a")
    assert events.calls == 0


def test_a_put_tells_what_it_stored_and_who_did(client, configured, events):
    response = client.put(configured + "/ü b", b"12345")
    ((_, event),) = events.told
    assert (event.name, event.bucket, event.key, event.size) == ("ObjectCreated:Put", "photos", "ü b", 5)
    assert event.etag == response.headers["etag"].strip('"')
    assert event.version == ""
    assert (event.cause.principal, event.cause.address) == (ADMIN.name, "192.0.2.7")
    assert event.cause.request_id == response.headers["x-amz-request-id"]
    assert event.cause.host_id == response.headers["x-amz-id-2"]


def test_what_failed_is_not_announced(client, configured, events):
    client("PUT", configured + "/a", None, {"content-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, b"x")
    client("PUT", configured + "/a", None, {"if-match": '"no"'}, b"x")
    client("PUT", configured + "/a", {"tagging": ""}, body=b"<Tagging><TagSet/></Tagging>")
    assert events.told == []


def test_copies_uploads_and_tags(client, configured, events):
    client.put(configured + "/a", b"x")
    client("PUT", configured + "/b", headers={"x-amz-copy-source": "photos/a"})
    upload = parse(client("POST", configured + "/c", {"uploads": ""})).findtext("UploadId")
    etag = client("PUT", configured + "/c", {"partNumber": "1", "uploadId": upload}, {}, b"y").headers["etag"]
    assert events.take() == [("ObjectCreated:Put", "a"), ("ObjectCreated:Copy", "b")]
    part = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()
    assert client("POST", configured + "/c", {"uploadId": upload}, body=body).status == 200
    client("PUT", configured + "/c", {"tagging": ""}, body=b"<Tagging><TagSet/></Tagging>")
    client("DELETE", configured + "/c", {"tagging": ""})
    assert events.take() == [
        ("ObjectCreated:CompleteMultipartUpload", "c"),
        ("ObjectTagging:Put", "c"),
        ("ObjectTagging:Delete", "c"),
    ]


def test_deletions_are_announced_at_once_and_also_of_what_was_gone(client, configured, events):
    client.put(configured + "/a")
    events.take()
    events.calls = 0
    keys = "".join(f"<Object><Key>{key}</Key></Object>" for key in ("a", "b"))
    assert client.post_xml(configured, {"delete": ""}, f"<Delete>{keys}</Delete>".encode()).status == 200
    assert events.calls == 1
    assert events.take() == [("ObjectRemoved:Delete", "a"), ("ObjectRemoved:Delete", "b")]
    client("DELETE", configured + "/c")
    assert events.take() == [("ObjectRemoved:Delete", "c")]


def test_versions_are_named(client, configured, events):
    body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert client("PUT", configured, {"versioning": ""}, body=body).status == 200
    version = client.put(configured + "/a", b"x").headers["x-amz-version-id"]
    marker = client("DELETE", configured + "/a").headers["x-amz-version-id"]
    client("DELETE", configured + "/a", {"versionId": version})
    client("DELETE", configured + "/a", {"versionId": marker})
    assert [(event.name, event.version) for _, event in events.told] == [
        ("ObjectCreated:Put", version),
        ("ObjectRemoved:DeleteMarkerCreated", marker),
        ("ObjectRemoved:Delete", version),
        ("ObjectRemoved:Delete", marker),
    ]


def test_what_the_rules_are_not_about_is_not_announced(client, bucket, events):
    put(client, bucket, queue(events=["s3:ObjectCreated:Put"], about=about(("prefix", "a/"), ("suffix", ".jpg"))))
    for key in ("a/b.jpg", "a/b.png", "b.jpg"):
        client.put(f"{bucket}/{key}")
    client("DELETE", bucket + "/a/b.jpg")
    assert events.take() == [("ObjectCreated:Put", "a/b.jpg")]


def test_a_configuration_that_came_while_a_body_was_awaited_counts(client, daemon, bucket, events):
    target, headers = client.signed("PUT", bucket + "/a", None, {}, b"xy")
    head = f"PUT {target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
    client.connection.send(head.encode() + b"Content-Length: 2\r\n\r\nx")
    assert put(daemon.client(), bucket, queue()).status == 200
    daemon.server.clock.advance(2)
    client.connection.send(b"y")
    assert client.connection.receive().status == 200
    assert events.take() == [("ObjectCreated:Put", "a")]


# Streams


@pytest.fixture
def service(tmp_path):
    service = EventsService(MemoryReactorClock(), str(tmp_path), execute, dict, "eu-x", sync=False)
    service.startService()
    yield service
    service.stopService()


@pytest.fixture
def streaming(tmp_path, service):
    daemon = Daemon(tmp_path, events=service)
    daemon.client().put("/photos")
    yield daemon
    daemon.stop()


class Listener:
    """A client that listens."""

    def __init__(self, daemon, query=None, headers=None, user=ADMIN, **connection):
        self.client = daemon.client(user, **connection)
        target, headers = self.client.signed("GET", "/photos", {"events": "", **(query or {})}, headers)
        head = f"GET {target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        self.client.connection.send(head.encode() + b"\r\n")
        self.text = ""

    def take(self):
        """What has come since the last time, without its head and its chunks."""
        received = self.client.connection.received()
        self.client.connection.skip(received)
        self.text = received.decode()
        return self.text

    def events(self):
        """Those that have come since the last time."""
        return re.findall(r"id: ([0-9a-f]{16})\nevent: (\S+)\ndata: (.*)\n\n", self.take())

    def keys(self):
        return [(name, json.loads(data)["s3"]["object"]["key"]) for _, name, data in self.events()]


def test_a_stream_tells_what_happens_in_the_bucket(streaming):
    listener, client = Listener(streaming), streaming.client()
    assert "Content-Type: text/event-stream\r\n" in listener.take()
    client.put("/music")
    client.put("/music/x")
    client.put("/photos/a b")
    client("DELETE", "/photos/a b")
    assert listener.keys() == [("ObjectCreated:Put", "a+b"), ("ObjectRemoved:Delete", "a+b")]


def test_a_stream_tells_only_what_is_asked_for(streaming):
    query = {"events": "s3:ObjectCreated:*", "prefix": "a/", "suffix": ".jpg"}
    listener, client = Listener(streaming, query), streaming.client()
    for key in ("a/b.jpg", "a/b.png", "b.jpg"):
        client.put(f"/photos/{key}")
    client("DELETE", "/photos/a/b.jpg")
    assert listener.keys() == [("ObjectCreated:Put", "a/b.jpg")]


def test_a_stream_goes_on_after_the_last_event(streaming):
    listener, client = Listener(streaming), streaming.client()
    for key in "abc":
        client.put(f"/photos/{key}")
    first = listener.events()[0][0]
    listener.client.connection.hang_up()
    client.put("/photos/d")
    again = Listener(streaming, headers={"Last-Event-ID": first})
    assert again.keys() == [("ObjectCreated:Put", key) for key in "bcd"]
    assert "event: gap" not in again.text


def test_a_stream_says_that_something_is_missing(streaming):
    listener = Listener(streaming, headers={"Last-Event-ID": "0" * 16})
    assert "event: gap\ndata: {}\n\n" in listener.take()


def test_a_stream_says_now_and_then_that_it_is_there(streaming):
    listener = Listener(streaming)
    listener.take()
    streaming.server.clock.advance(15)
    assert ":\n\n" in listener.take()


def test_a_stream_ends_when_the_daemon_stops_and_none_begins(streaming, service):
    listener = Listener(streaming)
    service.streams.end_streams()
    assert listener.take().endswith("0\r\n\r\n")
    assert streaming.client()("GET", "/photos", {"events": ""}).error_code == "ServiceUnavailable"


def test_a_stream_ends_after_an_hour(streaming):
    listener = Listener(streaming)
    for _ in range(240):
        streaming.server.clock.advance(15)
    assert listener.take().endswith("0\r\n\r\n")


@pytest.mark.parametrize("change", [{"enabled": False}, {"buckets": frozenset()}])
def test_a_stream_ends_with_the_right_of_its_user(streaming, service, change):
    listener, other = (Listener(streaming, user=user) for user in (READER, WRITER))
    users = dict(streaming.users._users)
    users[READER.access_key] = replace(READER, **change)
    streaming.users._users = users
    streaming.server.clock.advance(15)
    assert listener.take().endswith("\r\n0\r\n\r\n")
    assert not other.take().endswith("0\r\n\r\n")
    assert len(service.streams._open) == 1


def test_a_client_that_takes_nothing_is_dropped(streaming, service):
    listener, client = Listener(streaming, buffer_size=1000), streaming.client()
    for number in range(2000):
        client.put(f"/photos/{number:0200}")
        if listener.client.connection.aborted:
            break
    assert listener.client.connection.aborted
    assert len(listener.client.connection.transport.sent) < 3 << 20
    assert not service.streams._open


def test_a_client_that_comes_back_takes_what_it_missed_at_its_own_pace(streaming, service):
    listener, client = Listener(streaming), streaming.client()
    client.put("/photos/0")
    ((first, _, _),) = listener.events()
    listener.client.connection.hang_up()
    missed = 1700  # 1.5 MiB
    for number in range(missed):
        client.put(f"/photos/{number:0200}")
    again = Listener(streaming, headers={"Last-Event-ID": first}, buffer_size=64 << 10)
    assert len(again.client.connection.transport.sent) < 80 << 10
    client.put("/photos/new")
    heard = []
    while found := again.keys():
        heard += found
    assert not again.client.connection.aborted
    assert [key for _, key in heard] == [*(f"{number:0200}" for number in range(missed)), "new"]


def test_who_may_listen(streaming):
    for user, status in ((READER, 200), (WRITER, 200)):
        assert f" {status} " in Listener(streaming, user=user).take()
    assert streaming.client(None)("GET", "/photos", {"events": ""}).error_code == "AccessDenied"
    assert streaming.client(BOB)("GET", "/photos", {"events": ""}).error_code == "AccessDenied"


def test_a_stream_of_nothing_is_refused(streaming):
    client = streaming.client()
    assert client("GET", "/photos", {"events": "s3:Nothing"}).error_code == "InvalidArgument"
    assert client("GET", "/missing", {"events": ""}).error_code == "NoSuchBucket"
    response = client("GET", "/photos", {"events": ""}, {"Last-Event-ID": "x"})
    assert response.error_code == "InvalidArgument"


def test_a_daemon_that_announces_nothing_has_no_streams(tmp_path):
    daemon = Daemon(tmp_path)
    daemon.client().put("/photos")
    assert daemon.client()("GET", "/photos", {"events": ""}).error_code == "ServiceUnavailable"
    daemon.stop()
