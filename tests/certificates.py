"""Certificates for tests."""

import datetime
import functools
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


@functools.cache
def self_signed(name="localhost"):
    """(private key, certificate) as PEM, for `name` and 127.0.0.1."""
    made = Issued(name, addresses=("127.0.0.1",))
    return made.key_pem, made.pem


class Issued:
    """A key, and a certificate for it.

    :param names: host names that it is for; it is made out to the first.
    :param issuer: an `Issued` authority; without one it is self-signed.
    :param days: that it is still valid, or how long ago it expired.
    :param since: days that it has been valid, or was.
    :param key: of a certificate that this one renews.
    """

    def __init__(self, *names, addresses=(), issuer=None, authority=None, days=30, since=1, key=None, san=True):
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        now = datetime.datetime.now(datetime.UTC)
        # Where it does not say, the usual one of these tests is its own authority.
        authority = issuer is None if authority is None else authority
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if issuer is None else issuer.certificate.subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(now, now + days * DAY) - since * DAY)
            .not_valid_after(now + days * DAY)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if san:
            general = [x509.DNSName(each) for each in names]
            general += [x509.IPAddress(ipaddress.ip_address(each)) for each in addresses]
            builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
        self.certificate = builder.sign((issuer or self).key, hashes.SHA256())

    @property
    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self):
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def both(self):
        return self.key_pem + self.pem
