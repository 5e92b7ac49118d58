"""Endpoint strings and what is said of wrong ones."""

import os
import re

import pytest
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory

from tests.certificates import Issued, self_signed
from zs3.listen import make_endpoint
from zs3.tls.endpoints import certificates_of, reload_all


@pytest.fixture
def reactor():
    return MemoryReactorClock()


@pytest.fixture
def pem(tmp_path):
    """A function that writes one PEM file with key and certificate."""

    def write(path, key=None, certificate=None):
        path.parent.mkdir(parents=True, exist_ok=True)
        own_key, own_certificate = self_signed()
        path.write_bytes((own_key if key is None else key) + (own_certificate if certificate is None else certificate))
        return str(path)

    return write


def refusal(reactor, description, *certificates):
    with pytest.raises(ValueError, match="^" + re.escape(description) + ": ") as caught:
        make_endpoint(reactor, description, certificates)
    text = str(caught.value)
    assert "\n" not in text
    return text.removeprefix(description + ": ")


@pytest.mark.parametrize(
    "description",
    [
        "tcp:9000",
        "tcp:9000:interface=127.0.0.1",
        "tcp6:9000",
        r"tcp6:9000:interface=\:\:1",
        "unix:/run/zs3.sock:mode=660",
        "haproxy:tcp:9001",
    ],
)
def test_every_string_of_twisted_is_taken(reactor, description):
    assert IStreamServerEndpoint.providedBy(make_endpoint(reactor, description, []))


@pytest.mark.parametrize(
    ("description", "backlog"),
    [
        ("tcp:9000", 1024),
        ("tcp:9000:127.0.0.1", 1024),
        ("tcp:9000:127.0.0.1:7", 7),
        ("tcp:9000:backlog=7", 7),
        (r"tcp6:9000:interface=\:\:1", 1024),
        ("tcp6:9000:7", 7),
        ("haproxy:tcp:9000", 1024),
        ("haproxy:tcp:9000:backlog=7", 7),
        ("ssl:9000:privateKey={pem}", 1024),
        ("tls:{directory}:9000", 1024),
    ],
)
def test_a_thousand_may_wait_to_be_accepted(reactor, tmp_path, pem, description, backlog):
    path = pem(tmp_path / "tls" / "my.pem")
    make_endpoint(reactor, description.format(pem=path, directory=tmp_path / "tls"), []).listen(Factory())
    ((_, _, found, _),) = reactor.tcpServers
    assert found == backlog


@pytest.mark.parametrize(("arguments", "backlog"), [("", 1024), (":660", 1024), (":mode=660", 1024), (":660:7", 7)])
def test_a_thousand_may_wait_at_a_unix_socket(reactor, tmp_path, arguments, backlog):
    make_endpoint(reactor, f"unix:{tmp_path / 'socket'}{arguments}", []).listen(Factory())
    ((_, _, found, *_),) = reactor.unixServers
    assert found == backlog


@pytest.mark.parametrize("prefix", ["", "haproxy:"])
def test_ssl_alone_takes_the_first_certificate_there_is(reactor, tmp_path, pem, prefix):
    places = [str(tmp_path / "none.pem"), pem(tmp_path / "a: dir=" / "server.pem"), pem(tmp_path / "z.pem", key=b"")]
    endpoint = make_endpoint(reactor, f"{prefix}ssl:9443", places)
    endpoint.listen(Factory())
    ((port, *_),) = reactor.tcpServers
    assert port == 9443
    assert endpoint.certificates.paths == (places[1],)


def test_ssl_alone_without_a_certificate_names_all_places_and_what_helps(reactor):
    text = refusal(reactor, "ssl:9443", "/here/server.pem", "/data/.zs3/tls/server.pem")
    assert "there is no /here/server.pem and no /data/.zs3/tls/server.pem" in text
    assert "`zs3 cert --data /data` makes one" in text
    assert "privateKey=" in text
    assert "certKey=" in text


@pytest.mark.parametrize(
    "arguments", ["privateKey={0}", "interface=127.0.0.1:privateKey={0}:certKey={0}", "{0}", "{0}:{0}"]
)
def test_named_certificate_is_taken_as_it_is(reactor, tmp_path, pem, arguments):
    description = "ssl:9443:" + arguments.format(pem(tmp_path / "my.pem"))
    make_endpoint(reactor, description, []).listen(Factory())
    ((port, door, _, interface),) = reactor.tcpServers
    assert (port, interface) == (9443, "127.0.0.1" if "interface" in arguments else "")
    assert isinstance(door.wrappedFactory, TLSMemoryBIOFactory)


def test_files_are_those_of_where_the_daemon_was_started(reactor, tmp_path, pem, monkeypatch):
    pem(tmp_path / "my.pem")
    monkeypatch.chdir(tmp_path)
    endpoint = make_endpoint(reactor, "ssl:9443:privateKey=my.pem", [])
    monkeypatch.chdir("/")
    endpoint.certificates.reload()


def test_arguments_are_those_of_twisted(reactor, tmp_path, pem):
    path = pem(tmp_path / "a: b=c.pem")
    quoted = path.replace(":", "\\:")
    description = f"ssl:port=9443:privateKey={quoted}:certKey={quoted}:extraCertChain={quoted}"
    make_endpoint(reactor, description + r":interface=\:\:1:backlog=7", []).listen(Factory())
    ((port, _, backlog, interface),) = reactor.tcpServers
    assert (port, backlog, interface) == (9443, 7, "::1")


@pytest.mark.parametrize(
    ("argument", "why"),
    [
        ("sslmethod=SSLv23_METHOD", "sslmethod is not known here"),
        ("dhParameters=dh.pem", "dhParameters is not known here"),
        ("colour=red", "these are not the arguments of ssl:"),
        ("port=1", "these are not the arguments of ssl:"),
        ("backlog=many", "invalid literal"),
    ],
)
def test_what_is_not_understood_of_ssl_is_refused(reactor, tmp_path, pem, argument, why):
    assert why in refusal(reactor, f"ssl:9443:privateKey={pem(tmp_path / 'my.pem')}:{argument}")


@pytest.mark.parametrize("description", ["haproxy:ssl:1:privateKey={}", "haproxy:tls:{}/..:port=1"])
def test_the_proxy_protocol_is_spoken_before_tls(reactor, tmp_path, pem, description):
    path = pem(tmp_path / "tls" / "my.pem")
    make_endpoint(reactor, description.format(path), []).listen(Factory())
    ((_, factory, *_),) = reactor.tcpServers
    assert isinstance(factory, HAProxyWrappingFactory)
    assert isinstance(factory.wrappedFactory, TLSMemoryBIOFactory)


def test_named_certificate_that_is_missing_is_named(reactor, tmp_path, pem):
    text = refusal(reactor, "ssl:9443:privateKey=/nowhere/key.pem", pem(tmp_path / "server.pem"))
    assert text.startswith("/nowhere/key.pem: No such file or directory; ")
    assert "certKey=" in text


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ((b"", None), "there is no private key"),
        ((None, b""), "there is no certificate"),
        ((b"", b""), "there is no private key"),
        ((b"-----BEGIN PRIVATE KEY-----\nAAAA\n", None), "a block in it has no end"),
    ],
)
def test_file_without_key_or_certificate_is_refused(reactor, tmp_path, pem, parts, why):
    path = pem(tmp_path / "server.pem", *parts)
    for description in ("ssl:9443", f"ssl:9443:privateKey={path}"):
        assert refusal(reactor, description, path).startswith(f"{path}: {why}; ssl:PORT:privateKey=FILE")


def test_key_of_another_certificate_is_refused(reactor, tmp_path, pem):
    path = pem(tmp_path / "server.pem", certificate=self_signed("another")[1])
    assert f"{path}: the private key is not that of the certificate; " in refusal(reactor, "ssl:9443", path)


def test_tls_takes_a_directory_of_pem_files(reactor, tmp_path, pem):
    pem(tmp_path / "tls" / "localhost.pem")
    make_endpoint(reactor, f"tls:{tmp_path}/tls:port=9443", []).listen(Factory())
    assert reactor.tcpServers[0][0] == 9443


@pytest.mark.parametrize(
    ("make", "why"),
    [("nothing", "No such file or directory"), ("mkdir", "there is no .pem file in it"), ("touch", "Not a directory")],
)
def test_tls_directory_without_a_pem_file_is_refused(reactor, tmp_path, make, why):
    if make != "nothing":
        getattr(tmp_path / "tls", make)()
    assert refusal(reactor, f"tls:{tmp_path}/tls:port=9443") == f"{tmp_path}/tls: {why}"


def test_tls_directory_with_a_broken_pem_file_is_refused(reactor, tmp_path, pem):
    path = pem(tmp_path / "tls" / "broken.pem", key=b"-----BEGIN PRIVATE KEY-----\nAAAA\n")
    text = refusal(reactor, f"tls:{tmp_path}/tls:port=9443")
    assert f"{path}: a block in it has no end; it is not used" in text
    assert f"{tmp_path}/tls: there is no usable certificate in it" in text


@pytest.mark.parametrize(
    ("description", "why"),
    [
        ("tcp:http-alt-alt", "invalid literal"),
        ("tcp:", "invalid literal"),
        ("tcp", "these are not the arguments of tcp:"),
        ("tcp:9000:port=9000", "these are not the arguments of tcp:"),
        ("tcp:9000:colour=red", "these are not the arguments of tcp:"),
        ("tpc:9000", "tpc"),
        ("", ""),
        ("systemd:domain=INET:index=0", "systemd passed no such socket"),
        ("systemd:domain=INET:name=zs3", "systemd passed no such socket"),
        ("systemd:domain=INET", "Specify exactly one"),
        ("tls", "these are not the arguments of tls:"),
        ("tls:/:colour=red", "these are not the arguments of tls:"),
        ("ssl", "these are not the arguments of ssl:"),
        ("ssl:9443\\", "invalid literal"),
        ("\\", ""),
    ],
)
def test_wrong_string_is_refused_in_one_line(reactor, description, why):
    assert why in refusal(reactor, description)


def test_those_that_speak_tls_have_certificates_and_all_are_tried_at_a_reload(reactor, tmp_path, pem):
    paths = [pem(tmp_path / f"{number}.pem") for number in range(3)]
    descriptions = ["tcp:1", *(f"ssl:1:privateKey={path}" for path in paths)]
    kept = certificates_of(make_endpoint(reactor, each, []) for each in descriptions)
    assert [each.paths for each in kept] == [(path,) for path in paths]
    reload_all(kept)
    before = [each.served for each in kept]
    for path in paths[:2]:
        os.truncate(path, 0)
    another = Issued("another")
    pem(tmp_path / "2.pem", another.key_pem, another.pem)
    with pytest.raises(ValueError, match=r"0\.pem: there is no private key.*1\.pem: there is no private key"):
        reload_all(kept)
    assert [each.served is old for each, old in zip(kept, before, strict=True)] == [True, True, False]
