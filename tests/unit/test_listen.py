"""Endpoint strings and what is said of wrong ones."""

import re

import pytest
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock

from tests.certificates import self_signed
from zs3.listen import make_endpoint


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


@pytest.mark.parametrize("prefix", ["", "haproxy:"])
def test_ssl_alone_takes_the_first_certificate_there_is(reactor, tmp_path, pem, prefix):
    places = [str(tmp_path / "none.pem"), pem(tmp_path / "a: dir=" / "server.pem"), pem(tmp_path / "z.pem", key=b"")]
    endpoint = make_endpoint(reactor, f"{prefix}ssl:9443", places)
    endpoint.listen(Factory())
    (server,) = reactor.sslServers
    assert server[0] == 9443


def test_ssl_alone_without_a_certificate_names_all_places_and_the_arguments(reactor):
    text = refusal(reactor, "ssl:9443", "/here/server.pem", "/data/.zs3/tls/server.pem")
    assert "there is no /here/server.pem and no /data/.zs3/tls/server.pem" in text
    assert "privateKey=" in text
    assert "certKey=" in text


@pytest.mark.parametrize(
    "arguments", ["privateKey={0}", "interface=127.0.0.1:privateKey={0}:certKey={0}", "{0}", "{0}:{0}"]
)
def test_named_certificate_is_taken_as_it_is(reactor, tmp_path, pem, arguments):
    description = "ssl:9443:" + arguments.format(pem(tmp_path / "my.pem"))
    make_endpoint(reactor, description, []).listen(Factory())
    assert len(reactor.sslServers) == 1


def test_named_certificate_that_is_missing_is_named(reactor, tmp_path, pem):
    text = refusal(reactor, "ssl:9443:privateKey=/nowhere/key.pem", pem(tmp_path / "server.pem"))
    assert text.startswith("/nowhere/key.pem: No such file or directory; ")
    assert "certKey=" in text


@pytest.mark.parametrize(
    "parts", [(b"", None), (None, b""), (b"", b""), (b"-----BEGIN PRIVATE KEY-----\nAAAA\n", None)]
)
def test_file_without_key_or_certificate_is_refused(reactor, tmp_path, pem, parts):
    path = pem(tmp_path / "server.pem", *parts)
    for description in ("ssl:9443", f"ssl:9443:privateKey={path}"):
        text = refusal(reactor, description, path)
        assert text.startswith(f"no usable private key and certificate in {path}; ssl:PORT:privateKey=FILE")


def test_key_of_another_certificate_is_refused(reactor, tmp_path, pem):
    path = pem(tmp_path / "server.pem", certificate=self_signed("another")[1])
    assert f"no usable private key and certificate in {path}; " in refusal(reactor, "ssl:9443", path)


# Twisted 26.10 calls what pyOpenSSL 26 deprecates.
@pytest.mark.filterwarnings("ignore:X509.get_.* is deprecated:DeprecationWarning")
def test_tls_takes_a_directory_of_pem_files(reactor, tmp_path, pem):
    pem(tmp_path / "tls" / "localhost.pem")
    make_endpoint(reactor, f"tls:{tmp_path}/tls:port=9443", []).listen(Factory())
    assert reactor.tcpServers[0][0] == 9443


@pytest.mark.parametrize("make", ["nothing", "mkdir", "touch"])
def test_tls_directory_without_a_pem_file_is_refused(reactor, tmp_path, make):
    if make != "nothing":
        getattr(tmp_path / "tls", make)()
    assert refusal(reactor, f"tls:{tmp_path}/tls:port=9443") == f"{tmp_path}/tls: there is no .pem file in it"


def test_tls_directory_with_a_broken_pem_file_is_refused(reactor, tmp_path, pem):
    pem(tmp_path / "tls" / "broken.pem", key=b"-----BEGIN PRIVATE KEY-----\nAAAA\n")
    assert f"in the .pem files of {tmp_path}/tls" in refusal(reactor, f"tls:{tmp_path}/tls:port=9443")


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
    ],
)
def test_wrong_string_is_refused_in_one_line(reactor, description, why):
    assert why in refusal(reactor, description)
