"""Clients that sign wrongly again and again are answered later and later; nobody else is."""

from dataclasses import replace

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from tests.wire.daemon import ADMIN
from zs3.auth.attempts import FREE, MAX_DELAY_S, MAX_WAITING

WRONG = replace(ADMIN, secret_key="something else")
UNKNOWN = replace(ADMIN, access_key="NOBODY")


def at(host):
    return (IPv6Address if ":" in host else IPv4Address)("TCP", host, 54321)


def ask(daemon, user, method="GET", path="/photos/a", headers=None, **connection):
    """A client that sent a request and has not looked for its answer."""
    client = daemon.client(user, **connection)
    target, lines = client.signed(method, path, headers=headers)
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    client.connection.send(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1"))
    return client.connection


def use_up(daemon, count=FREE, **connection):
    """The wrong signatures that are free."""
    for _ in range(count):
        response = ask(daemon, WRONG, **connection).receive()
        assert response.error_code == "SignatureDoesNotMatch"


@pytest.fixture
def client(client, bucket):
    client.put("/photos/a", b"content")
    return client


@pytest.mark.parametrize(
    ("user", "code"), [(WRONG, "SignatureDoesNotMatch"), (UNKNOWN, "InvalidAccessKeyId")], ids=["wrong", "unknown"]
)
@pytest.mark.parametrize("headers", [None, {"Origin": "https://a.example"}], ids=["same origin", "cross origin"])
def test_wrong_signatures_are_answered_later_with_the_same_words(daemon, client, user, code, headers):
    early = ask(daemon, user, headers=headers).receive()
    use_up(daemon, FREE - 1)
    connection = ask(daemon, user, headers=headers)
    assert connection.received() == b""
    daemon.server.clock.advance(MAX_DELAY_S)
    late = connection.receive()
    assert (late.status, late.error_code) == (early.status, early.error_code) == (403, code)
    assert late.headers.keys() == early.headers.keys()
    assert connection.open


def test_right_signatures_of_the_same_address_are_answered_at_once(daemon, client):
    use_up(daemon)
    for _ in range(MAX_WAITING + 5):
        ask(daemon, WRONG)
    for path in ("/photos/a", "/photos/absent"):  # at once, and the ordinary way
        assert ask(daemon, ADMIN, path=path).receive().status in (200, 404)
    assert ask(daemon, None).receive().error_code == "AccessDenied", "who signed nothing signed nothing wrongly"


@pytest.mark.parametrize(
    ("here", "there", "same"),
    [
        ("192.0.2.7", "192.0.2.8", False),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.8", "192.0.2.8", True),
    ],
)
def test_other_addresses_are_answered_at_once(daemon, client, here, there, same):
    use_up(daemon, peer=at(here))
    assert (ask(daemon, WRONG, peer=at(there)).received() == b"") is same


def test_forwarded_for_is_not_believed(daemon, client):
    use_up(daemon)
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
        assert ask(daemon, WRONG, headers={name: "198.51.100.1"}).received() == b""


def test_only_so_many_answers_wait_and_those_beyond_cost_their_connection(daemon, client):
    use_up(daemon)
    waiting = [ask(daemon, WRONG) for _ in range(MAX_WAITING)]
    beyond = ask(daemon, WRONG)
    response = beyond.receive()
    assert (response.status, response.error_code) == (503, "SlowDown")
    assert not beyond.open
    assert ask(daemon, WRONG, peer=at("192.0.2.8")).receive().error_code == "SignatureDoesNotMatch"
    daemon.server.clock.advance(MAX_DELAY_S)
    assert {each.receive().error_code for each in waiting} == {"SignatureDoesNotMatch"}
    assert ask(daemon, WRONG).received() == b"", "there is room again"


def test_who_goes_while_waiting_leaves_nothing(daemon, client):
    use_up(daemon)
    before = len(daemon.server.clock.getDelayedCalls())
    for _ in range(MAX_WAITING * 3):
        connection = ask(daemon, WRONG)
        assert connection.received() == b"", "its place is free again"
        connection.hang_up()
    assert len(daemon.server.clock.getDelayedCalls()) <= before


def test_a_wrong_upload_that_waits_writes_nothing(daemon, client):
    use_up(daemon)
    other = daemon.client(WRONG)
    target, headers = other.signed("PUT", "/photos/a", body=b"evil")
    head = "".join(f"{name}: {value}\r\n" for name, value in {**headers, "Content-Length": "4"}.items())
    other.connection.send(f"PUT {target} HTTP/1.1\r\n{head}\r\nevil".encode("latin-1"))
    assert other.connection.received() == b""
    daemon.server.clock.advance(MAX_DELAY_S)
    assert other.connection.receive().error_code == "SignatureDoesNotMatch"
    assert (daemon.data / "photos" / "a").read_bytes() == b"content"
    assert daemon.temporary_files() == []


def test_clients_of_a_unix_socket_are_not_slowed(daemon, client):
    """All of them would be one address, that of a proxy."""
    for _ in range(FREE + 5):
        assert ask(daemon, WRONG, peer=UNIXAddress("")).receive().error_code == "SignatureDoesNotMatch"
