"""What PEM files hold: private keys and certificates, and which of them belong together.

Pure: no files, no Twisted and no OpenSSL context.  What is wrong is a `ValueError`
in a user's words.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

#: The kinds that servers have.
Key = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey | Ed448PrivateKey
Address = IPv4Address | IPv6Address

#: RFC 7468 section 2; what stands before and between the blocks is for people.
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_CERTIFICATE = (b"CERTIFICATE", b"X509 CERTIFICATE")
#: More authorities above one another than there are.
_MOST_ISSUERS = 8


@dataclass(frozen=True)
class Contents:
    """The keys and certificates of one file or of several, in their order."""

    keys: tuple[Key, ...] = ()
    certificates: tuple[x509.Certificate, ...] = ()


@dataclass(frozen=True)
class Pair:
    """A certificate with its private key.

    Two are equal if clients are shown the same: certificate and chain.  The key is then the same too.

    :ivar chain: the certificates that are sent after it, without the root.
    """

    key: Key = field(compare=False, repr=False)
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The host names that it is for, in lower case; some are like ``*.home.lan``."""
        return names_of(self.certificate)

    @cached_property
    def addresses(self) -> tuple[Address, ...]:
        """The IP addresses that it is for."""
        return addresses_of(self.certificate)

    @property
    def expires(self) -> datetime:
        return self.certificate.not_valid_after_utc

    @property
    def description(self) -> str:
        """For whom it is, for the log."""
        return describe(self.certificate)


def parse(data: bytes) -> Contents:
    """What a PEM file holds.  Blocks of other kinds, parameters and the like, are passed over.

    :raises ValueError: if a block is broken or incomplete, or a key is encrypted.
    """
    keys: list[Key] = []
    certificates: list[x509.Certificate] = []
    blocks = list(_BLOCK.finditer(data))
    if len(blocks) != data.count(b"-----BEGIN "):
        raise ValueError("a block in it has no end")
    for block in blocks:
        kind = block[1]
        if kind.endswith(b"PRIVATE KEY"):
            keys.append(_load_key(block[0]))
        elif kind in _CERTIFICATE:
            certificates.append(_load_certificate(block[0]))
    return Contents(tuple(keys), tuple(certificates))


def _load_key(block: bytes) -> Key:
    if b"ENCRYPTED" in block:
        raise ValueError("its private key is encrypted, and nobody is there to ask for the password")
    try:
        key = load_pem_private_key(block, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("its private key cannot be read") from None
    if not isinstance(key, Key):
        raise ValueError("its private key is of a kind that servers do not have")
    return key


def _load_certificate(block: bytes) -> x509.Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(block)
        # Each of them is decoded when it is asked for.
        spki_of(certificate)
        names_of(certificate)
        _ = certificate.subject, certificate.issuer, certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension):
        raise ValueError("its certificate cannot be read") from None
    return certificate


def pair(keys: Sequence[Key], certificates: Sequence[x509.Certificate], more: Sequence[x509.Certificate] = ()) -> Pair:
    """The first of `certificates` that is of one of `keys`, with the others and `more` for its chain, in their order.

    :raises ValueError: if there is none.
    """
    if not keys:
        raise ValueError("there is no private key")
    if not certificates:
        raise ValueError("there is no certificate")
    by_spki = {spki_of_key(key): key for key in keys}
    for certificate in certificates:
        key = by_spki.get(spki_of(certificate))
        if key is not None:
            rest = [each for each in (*certificates, *more) if each != certificate]
            return Pair(key, certificate, tuple(dict.fromkeys(rest)))
    raise ValueError("the private key is not that of the certificate")


def chain_of(certificate: x509.Certificate, pool: Iterable[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """Those of `pool` that lead from a certificate to its root, without that, as far as there are any."""
    # Of several for the same authority, the one that is good for longest.
    candidates = sorted(pool, key=lambda each: each.not_valid_after_utc, reverse=True)
    chain: list[x509.Certificate] = []
    last = certificate
    while last.issuer != last.subject and len(chain) < _MOST_ISSUERS:
        issuer = next((each for each in candidates if each not in chain and _issued(each, last)), None)
        if issuer is None or issuer.subject == issuer.issuer:
            break
        chain.append(issuer)
        last = issuer
    return tuple(chain)


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    if issuer.subject != certificate.issuer:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it says that it is one of those that issue certificates."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (ValueError, x509.ExtensionNotFound):
        return False


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The host names that it is for, in lower case.  `ValueError` if they cannot be read."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        # RFC 6125 section 6.4.4: then, and only then, it is the common name.
        attributes = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return tuple(str(each.value).lower() for each in attributes)
    return tuple(name.lower() for name in extension.value.get_values_for_type(x509.DNSName))


def addresses_of(certificate: x509.Certificate) -> tuple[Address, ...]:
    """The IP addresses that it is for."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    values = extension.value.get_values_for_type(x509.IPAddress)
    return tuple(each for each in values if isinstance(each, IPv4Address | IPv6Address))


def describe(certificate: x509.Certificate) -> str:
    """For whom a certificate is, in a line."""
    names = [*names_of(certificate), *map(str, addresses_of(certificate))]
    text = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    # Nothing in a certificate may forge a line of the log.
    return "".join(each if each.isprintable() else "?" for each in text) or "nobody"


def fingerprint(certificate: x509.Certificate) -> str:
    """Its SHA-256 as browsers show it, ``AB:CD:...``."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest().hex(":").upper()


def spki_of(certificate: x509.Certificate) -> bytes:
    """The public key of a certificate (RFC 5280 section 4.1.2.7)."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def spki_of_key(key: Key) -> bytes:
    """The public key of a private key, in the same form."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
