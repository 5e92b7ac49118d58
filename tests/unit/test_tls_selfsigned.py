"""Certificates that are made here, and for which names."""

import socket
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from tests.handshake import client_context, shake_hands
from zs3.tls import pem, selfsigned
from zs3.tls.certificates import CertificateFiles

NAMES = [selfsigned.read_name(each) for each in ("nas.home.lan", "*.nas.home.lan", "192.168.1.10", "fd00::1")]


@pytest.fixture(scope="module")
def made():
    return selfsigned.make(NAMES, selfsigned.USUAL_DAYS)


def pair(made):
    found = pem.parse(made.server)
    return pem.pair(found.keys, found.certificates)


def test_it_is_for_the_names_and_belongs_to_its_key(made):
    found = pair(made)
    assert found.names == ("nas.home.lan", "*.nas.home.lan")
    assert list(map(str, found.addresses)) == ["192.168.1.10", "fd00::1"]
    assert pem.parse(made.authority) == pem.Contents((), found.chain)


@pytest.mark.parametrize("name", ["nas.home.lan", "photos.nas.home.lan", "192.168.1.10", "fd00::1"])
def test_who_trusts_the_authority_takes_it_for_these_names(made, tmp_path, name):
    (tmp_path / "server.pem").write_bytes(made.server)
    kept = CertificateFiles(*[str(tmp_path / "server.pem")] * 2)
    kept.reload()
    trusting = client_context(trust=made.authority)
    # As Python has it by default from 3.13 on.
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    shake_hands(kept, name, trusting)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(kept, "192.168.1.11" if name[0] == "1" else "other.lan", trusting)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(kept, name, client_context(trust=selfsigned.make(NAMES, 1).authority))


def test_it_is_as_the_rules_for_the_web_have_it(made):
    """Those of the CA/Browser Forum, as the verifier of cryptography has them: stricter than most clients."""
    found = pair(made)
    verifier = PolicyBuilder().store(Store(found.chain)).build_server_verifier(x509.DNSName("nas.home.lan"))
    assert verifier.verify(found.certificate, []) == [found.certificate, *found.chain]


@pytest.mark.parametrize("days", [1, 397, 825])
def test_it_is_valid_for_so_many_days_and_not_a_second_longer(days):
    now = datetime(2026, 12, 1, 12, tzinfo=UTC)
    certificate = pair(selfsigned.make(NAMES, days, now)).certificate
    assert certificate.not_valid_before_utc == now - timedelta(hours=1)
    # RFC 5280 section 4.1.2.5: the last second is included.
    length = certificate.not_valid_after_utc - certificate.not_valid_before_utc + timedelta(seconds=1)
    assert length == timedelta(days=days)


def test_each_has_an_authority_of_its_own():
    one, other = (pair(selfsigned.make(NAMES, 1)) for _ in range(2))
    assert one.chain[0].public_key() != other.chain[0].public_key()
    assert pem.chain_of(one.certificate, other.chain) == ()


def test_a_name_that_is_too_long_for_a_subject_is_in_the_names():
    name = ".".join(["a" * 60] * 3)
    assert pair(selfsigned.make([name], 1)).names == (name,)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("NAS.Home.Lan.", "nas.home.lan"),
        ("*.s3.home.lan", "*.s3.home.lan"),
        ("localhost", "localhost"),
        ("10.0.0.1", ip_address("10.0.0.1")),
        ("FD00::1", ip_address("fd00::1")),
    ],
)
def test_a_name_is_a_host_name_or_an_address(text, name):
    assert selfsigned.read_name(text) == name


@pytest.mark.parametrize(
    "text", ["", "*", "a b", "a_b", "-a", "a.*.b", "a..b", "nas\n", "büro.lan", "a" * 64, "https://nas"]
)
def test_other_names_are_refused(text):
    with pytest.raises(ValueError, match="is neither a host name"):
        selfsigned.read_name(text)


class TestThisMachine:
    @pytest.fixture
    def proc(self, tmp_path, monkeypatch):
        monkeypatch.setattr(socket, "gethostname", lambda: "NAS.home.lan")
        (tmp_path / "net").mkdir()
        (tmp_path / "net" / "fib_trie").write_text(
            "Main:\n  +-- 0.0.0.0/0 3 0 5\n"
            "     |-- 127.0.0.0\n        /8 host LOCAL\n"
            "     |-- 127.0.0.1\n        /32 host LOCAL\n"
            "     |-- 169.254.7.7\n        /32 host LOCAL\n"
            "     |-- 192.168.1.0\n        /24 link UNICAST\n"
            "     |-- 192.168.1.10\n        /32 host LOCAL\n"
            "     |-- 192.168.1.255\n        /32 link BROADCAST\n"
            "Local:\n     |-- 192.168.1.10\n        /32 host LOCAL\n"
        )
        (tmp_path / "net" / "if_inet6").write_text(
            "fd000000000000000000000000000002 04 40 00 80     eth0\n"
            "fd00000000000000000000000000beef 04 40 00 01     eth0\n"
            "00000000000000000000000000000001 01 80 10 80       lo\n"
            "fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n"
        )
        return str(tmp_path)

    def test_its_names_and_lasting_addresses_are_known(self, proc):
        assert list(map(str, selfsigned.names_of_this_machine(proc))) == [
            *("nas.home.lan", "nas.local", "localhost"),
            *("192.168.1.10", "fd00::2", "127.0.0.1", "::1"),
        ]

    def test_where_the_system_does_not_tell_it_is_the_names_alone(self, proc, monkeypatch):
        monkeypatch.setattr(socket, "gethostname", lambda: "not a name")
        assert list(map(str, selfsigned.names_of_this_machine("/nowhere"))) == ["localhost", "127.0.0.1", "::1"]
