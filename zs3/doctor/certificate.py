"""Whether a certificate and its key are what a daemon needs, and until when.

Blocking, and without Twisted.  A file is as `ssl:` takes it: PEM, with the
certificate first, then those between it and the root, and the key perhaps in it.
A directory is as `tls:` takes it: keys and certificates are in whichever files.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from zs3.doctor.findings import Finding, note, ok, problem, warning
from zs3.doctor.permissions import group_name
from zs3.tls import files, pem

_SOON, _NOW = timedelta(days=30), timedelta(days=7)
_KEY = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----.*?-----END (?:[A-Z0-9]+ )*PRIVATE KEY-----", re.DOTALL)
_MAKE = "zs3 cert --data DIR --name NAME"


def examine(path: str, key_path: str | None, now: datetime | None = None) -> Iterator[Finding]:
    """A certificate, or those in the `.pem` files of a directory.

    :param path: of the PEM file or directory.
    :param key_path: of the private key, if it is in a file of its own.
    """
    now = now or datetime.now(UTC)
    if os.path.isdir(path):
        yield from _examine_directory(path, now)
        return
    try:
        with open(path, "rb") as file:
            data = file.read()
        chain = x509.load_pem_x509_certificates(data)
    except OSError as error:
        advice = "give --certificate FILE, as the daemon has it; a new one: " + _MAKE
        yield problem("certificate.file", f"{path}: {error.strerror}", advice, file=path)
        return
    except ValueError:
        advice = "put the certificate there as PEM (-----BEGIN CERTIFICATE-----); a new one: " + _MAKE
        yield problem("certificate.file", f"{path}: there is no certificate in it", advice, file=path)
        return
    yield from _examine(path, chain, now)
    yield _key(key_path or path, chain[0])


def _examine_directory(directory: str, now: datetime) -> Iterator[Finding]:
    found: dict[str, pem.Contents] = {}
    try:
        names = list(files.find(directory))
    except OSError as error:
        fact = f"{error.filename or directory}: {error.strerror}"
        yield problem("certificate.file", fact, "run this as the user of the daemon", file=directory)
        return
    if not names:
        fact = f"{directory}: there is no .pem file in it"
        yield problem("certificate.file", fact, "put key and certificates there, NAME.pem")
    for path in names:
        try:
            found[path] = files.read(path).contents
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            advice = "let the daemon's user read it, mend it or remove it: it is not used"
            yield problem("certificate.file", f"{path}: {reason}", advice, file=path)
    keys = {pem.spki_of_key(key): (path, key) for path, each in found.items() for key in each.keys}
    every = [certificate for each in found.values() for certificate in each.certificates]
    pool = [each for each in every if pem.spki_of(each) not in keys]
    certified = {pem.spki_of(each) for each in every}
    for path, contents in found.items():
        for certificate in contents.certificates:
            if pem.spki_of(certificate) not in keys:
                continue
            following = contents.certificates[contents.certificates.index(certificate) + 1 :]
            chain = [each for each in following if pem.spki_of(each) not in keys]
            yield from _examine(path, [certificate, *(chain or pem.chain_of(certificate, pool))], now)
            key_path, key = keys[pem.spki_of(certificate)]
            yield _judge_key(key_path, key, os.stat(key_path))
        if any(pem.spki_of_key(key) not in certified for key in contents.keys):
            fact = f"{path}: there is no certificate for its private key"
            yield problem("certificate.file", fact, f"put it there, too; a new one: {_MAKE}", file=path)
        elif not all(pem.spki_of(each) in keys or _is_issuer(each, every) for each in contents.certificates):
            fact = f"{path}: there is no private key for its certificate"
            yield problem("certificate.key", fact, "put the key into it, or beside it", file=path)


def _is_issuer(certificate: x509.Certificate, others: list[x509.Certificate]) -> bool:
    """Whether a certificate is meant for the chain of others."""
    subject = certificate.subject
    return pem.is_authority(certificate) or any(each.issuer == subject for each in others if each != certificate)


def _examine(path: str, chain: list[x509.Certificate], now: datetime) -> Iterator[Finding]:
    yield from _names(path, chain[0])
    yield _validity(path, chain[0], now)
    yield from _chain(path, chain, now)


def _names(path: str, certificate: x509.Certificate) -> Iterator[Finding]:
    check = "certificate.names"
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        fact = f"{path}: there is no subjectAltName in it: clients refuse it"
        yield problem(check, fact, f"make a new one: {_MAKE}", file=path, names=[])
        return
    names = [*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))]
    yield ok(check, f"{path} is for {', '.join(names)}", file=path, names=names)


def _validity(path: str, certificate: x509.Certificate, now: datetime) -> Finding:
    check, begins, ends = "certificate.validity", certificate.not_valid_before_utc, certificate.not_valid_after_utc
    days = (ends - now).days
    values = {"file": path, "begins": begins.isoformat(), "ends": ends.isoformat(), "days": days}
    renew = "renew it"
    if now < begins:
        advice = "set the clock (timedatectl), or wait"
        return problem(check, f"{path} is not valid before {begins:%Y-%m-%d %H:%M} UTC", advice, **values)
    if ends < now:
        return problem(check, f"{path} is not valid any more since {ends:%Y-%m-%d %H:%M} UTC", renew, **values)
    fact = f"{path} is valid for {days} more days, until {ends:%Y-%m-%d}"
    if ends - now < _NOW:
        return warning(check, fact, renew, **values)
    if ends - now < _SOON:
        return note(check, fact, renew, **values)
    return ok(check, fact, **values)


def _chain(path: str, chain: list[x509.Certificate], now: datetime) -> Iterator[Finding]:
    check, count = "certificate.chain", len(chain)
    for below, above in itertools.pairwise(chain):
        try:
            below.verify_directly_issued_by(above)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            fact = f"{path}: {_called(below)} is not signed by {_called(above)}, which follows it"
            yield problem(check, fact, "put them in order: the certificate, then what signed it, and so on", file=path)
            return
        if above.not_valid_after_utc < now:
            yield problem(check, f"{path}: {_called(above)} in it is not valid any more", "renew the chain", file=path)
            return
    last = chain[-1]
    if count == 1 and last.issuer == last.subject:
        fact = f"{path} signed itself: clients have to be told of it (AWS_CA_BUNDLE, --ca-cert, --cacert)"
        yield ok(check, fact, file=path, certificates=1, self_signed=True)
    elif count == 1:
        advice = "append the intermediate certificates to the file, as in fullchain.pem of certbot"
        fact = f"{path} has but the certificate itself, which {last.issuer.rfc4514_string()} signed"
        yield note(
            check, fact, f"if clients do not know that one: {advice}", file=path, certificates=1, self_signed=False
        )
    else:
        yield ok(check, f"{path} has a chain of {count} certificates", file=path, certificates=count, self_signed=False)


def _called(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "a certificate without a name"


def _key(path: str, certificate: x509.Certificate) -> Finding:
    check = "certificate.key"
    try:
        with open(path, "rb") as file:
            data = file.read()
            status = os.fstat(file.fileno())
    except OSError as error:
        return problem(
            check, f"{path}: {error.strerror}", "run this as the user of the daemon, or give --key FILE", file=path
        )
    found = _KEY.search(data)
    if found is None:
        return problem(
            check, f"{path}: there is no private key in it", "give --key FILE, or put the key into it", file=path
        )
    try:
        key = load_pem_private_key(found[0], None)
    except TypeError:
        advice = f"openssl pkey -in {shlex.quote(path)} -out key.pem, as nobody is there to type it at a start"
        return problem(check, f"{path}: the private key has a password", advice, file=path)
    except (ValueError, UnsupportedAlgorithm):
        return problem(check, f"{path}: the private key cannot be read", f"make a new one: {_MAKE}", file=path)
    encoding, public = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(encoding, public) != certificate.public_key().public_bytes(encoding, public):
        fact = f"{path}: the private key is not that of the certificate"
        return problem(check, fact, "give the key that the certificate was made with (--key FILE)", file=path)
    return _judge_key(path, key, status)


def _judge_key(path: str, key: object, status: os.stat_result) -> Finding:
    """:param status: of the file that the key is in."""
    check, mode = "certificate.key", stat.S_IMODE(status.st_mode)
    values = {"file": path, "mode": f"{mode:04o}"}
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        fact = f"{path}: others than its owner may read the private key"
        return warning(check, fact, f"chmod 600 {shlex.quote(path)}, or 640 and a group for the daemon", **values)
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < 2048:
        return problem(check, f"{path}: a key of {key.key_size} bits is refused", f"make a new one: {_MAKE}", file=path)
    if mode & stat.S_IRGRP:
        # As the daemon's user is given the files of certbot.
        who = f"its owner and the group {group_name(status.st_gid)}"
    else:
        who = "its owner alone"
    return ok(check, f"{path} has its private key, for {who}", **values)
