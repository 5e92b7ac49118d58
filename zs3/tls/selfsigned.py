"""A certificate for a LAN: made here, and good for whoever is told to trust it.

It is signed by an authority that is made with it and whose key is dropped at once:
what clients trust then can never sign anything else.  One certificate that is its
own authority would not do: Firefox and what is built on rustls refuse that, and
phones take no other kind of certificate but an authority's.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from zs3.tls.pem import Address

#: What the CA/Browser Forum allows, and Apple for any certificate.
USUAL_DAYS = 397
APPLE_DAYS = 825
MOST_DAYS = 3650

_HOST = re.compile(r"(\*\.)?(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*", re.ASCII).fullmatch
#: Of RFC 5280 appendix A: what a common name may have.
_MOST_CHARACTERS = 64
#: For clients whose clock is behind.
_SKEW = timedelta(hours=1)

# Flags of an IPv6 address (linux/if_addr.h): temporary, duplicate, deprecated, tentative.
_PASSING = 0x01 | 0x08 | 0x20 | 0x40
_LINK_LOCAL = "20"


@dataclass(frozen=True)
class Made:
    """What was made, as PEM.

    :ivar server: the private key, its certificate, and that of the authority.
    :ivar authority: the authority's certificate alone, for clients.
    """

    server: bytes
    authority: bytes


def read_name(text: str) -> str | Address:
    """A host name, perhaps ``*.`` and one, or an IP address.

    :raises ValueError: if it is neither.
    """
    try:
        return ip_address(text)
    except ValueError:
        pass
    name = text.lower().rstrip(".")
    if len(name) > 253 or not _HOST(name):
        hint = "" if text.isascii() else ", of letters, digits and - as DNS has it (xn--...)"
        raise ValueError(f"{text!r} is neither a host name{hint} nor an IP address")
    return name


def make(names: Sequence[str | Address], days: int, now: datetime | None = None) -> Made:
    """A certificate for host names and IP addresses, and the authority that signed it.

    :param days: that it is valid for.
    """
    begin = (now or datetime.now(UTC)).replace(microsecond=0) - _SKEW
    end = begin + timedelta(days=days, seconds=-1)  # which is included
    common_name = next((str(each) for each in names if len(str(each)) <= _MOST_CHARACTERS), "zs3")

    signing, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    # Another name each time: a client that knows several must not take one for the other.
    authority_name = _name(f"zs3 at {common_name}"[:_MOST_CHARACTERS], f"made {begin + _SKEW:%Y-%m-%d %H:%M:%S} UTC")

    def build(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .issuer_name(authority_name)
            .subject_name(subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )

    authority = (
        build(authority_name, signing.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        .sign(signing, hashes.SHA256())
    )
    certificate = (
        build(_name(common_name), key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general(each) for each in names]), critical=False)
        .sign(signing, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    trusted = authority.public_bytes(Encoding.PEM)
    return Made(private + certificate.public_bytes(Encoding.PEM) + trusted, trusted)


def _name(common_name: str, unit: str | None = None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if unit is not None:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit))
    return x509.Name(attributes)


def _general(name: str | Address) -> x509.GeneralName:
    return x509.DNSName(name) if isinstance(name, str) else x509.IPAddress(name)


def _usage(*allowed: str) -> x509.KeyUsage:
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{each: each in allowed for each in every})


def names_of_this_machine(proc: str = "/proc") -> list[str | Address]:
    """The names and addresses that this machine is reached by, as far as it knows.

    Its host name, that with ``.local`` (multicast DNS), localhost, and the addresses of its interfaces.
    """
    names: list[str | Address] = []
    host = socket.gethostname().lower().rstrip(".")
    if _HOST(host) and not host.startswith("*"):
        names += [host, host.partition(".")[0] + ".local"]
    addresses = {*_ipv4(proc), *_ipv6(proc)}
    own = sorted((each for each in addresses if not each.is_loopback), key=lambda each: (each.version, int(each)))
    return list(dict.fromkeys([*names, "localhost", *own, IPv4Address("127.0.0.1"), IPv6Address("::1")]))


def _ipv4(proc: str) -> Iterator[Address]:
    """Those that the kernel takes for its own: ``|-- 192.0.2.1``, and below it ``/32 host LOCAL``."""
    last = ""
    for line in _lines(f"{proc}/net/fib_trie"):
        words = line.split()
        if words[:1] == ["|--"]:
            last = words[1]
        elif words == ["/32", "host", "LOCAL"]:
            address = IPv4Address(last)
            if not address.is_link_local:
                yield address


def _ipv6(proc: str) -> Iterator[Address]:
    """Address, interface, length of the prefix, scope, flags, name; all in hexadecimal."""
    for line in _lines(f"{proc}/net/if_inet6"):
        address, _, _, scope, flags, _ = line.split()
        if scope != _LINK_LOCAL and not int(flags, 16) & _PASSING:
            yield IPv6Address(int(address, 16))


def _lines(path: str) -> list[str]:
    try:
        with open(os.fspath(path), encoding="ascii") as file:
            return file.read().splitlines()
    except OSError:  # another system, or /proc is hidden
        return []
