"""What PEM files hold."""

import base64

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from hypothesis import given, strategies

from tests.certificates import Issued
from zs3.tls import pem

ROOT = Issued("a root")
MIDDLE = Issued("in the middle", issuer=ROOT, authority=True)
LEAF = Issued("S3.home.lan", "*.home.lan", addresses=("192.168.1.10", "fd00::1"), issuer=MIDDLE)
OTHER = Issued("other")


def test_keys_and_certificates_are_found_among_words_and_other_blocks():
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    found = pem.parse(b"my certificate\n" + LEAF.pem + parameters + b"its key\r\n" + LEAF.key_pem + MIDDLE.pem)
    assert found.certificates == (LEAF.certificate, MIDDLE.certificate)
    assert [pem.spki_of_key(key) for key in found.keys] == [pem.spki_of(LEAF.certificate)]


def test_a_certificate_whose_subject_cannot_be_read_is_broken():
    """Where it is parsed, and not where a client waits for it."""
    data = Issued("unreadable.example").certificate.public_bytes(serialization.Encoding.DER)
    names = data.replace(b"unreadable", b"\xff" * 10, 2)  # issuer and subject; the alternative name stays
    block = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(names) + b"-----END CERTIFICATE-----\n"
    with pytest.raises(ValueError, match="its certificate cannot be read"):
        pem.parse(block)


def test_an_empty_file_holds_nothing():
    assert pem.parse(b"") == pem.Contents()


@given(strategies.integers(1, len(LEAF.both) - 1))
def test_a_part_of_a_file_is_never_a_whole_pair(length):
    """Whatever is there of a file that is being written: it is wrong, or has no certificate yet."""
    part = LEAF.both[:length]
    try:
        found = pem.parse(part)
    except ValueError:
        return
    assert found.certificates == () or part.rstrip() == LEAF.both.rstrip()


ENCRYPTED = LEAF.key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
)
DSA = dsa.generate_private_key(1024).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (ENCRYPTED, "its private key is encrypted"),
        (DSA, "its private key is of a kind that servers do not have"),
        (LEAF.key_pem.replace(b"M", b"N", 1), "its private key cannot be read"),
        (LEAF.pem.replace(b"MII", b"MIX", 1), "its certificate cannot be read"),
        (LEAF.pem[:-30], "a block in it has no end"),
        (LEAF.key_pem[:100] + LEAF.both, "a block in it has no end"),
    ],
)
def test_what_is_broken_is_told(data, why):
    with pytest.raises(ValueError, match=why):
        pem.parse(data)


class TestPair:
    def test_the_others_of_the_file_and_more_are_its_chain(self):
        certificates = (LEAF.certificate, MIDDLE.certificate)
        made = pem.pair([LEAF.key], certificates, (MIDDLE.certificate, ROOT.certificate))
        assert made.certificate == LEAF.certificate
        assert made.chain == (MIDDLE.certificate, ROOT.certificate)

    def test_it_is_for_its_names_and_addresses(self):
        made = pem.pair([LEAF.key], [LEAF.certificate])
        assert made.names == ("s3.home.lan", "*.home.lan")
        assert [str(each) for each in made.addresses] == ["192.168.1.10", "fd00::1"]
        assert made.description == "s3.home.lan, *.home.lan, 192.168.1.10, fd00::1"

    def test_without_alternative_names_it_is_for_its_common_name(self):
        made = Issued("Old.example", san=False)
        assert pem.names_of(made.certificate) == ("old.example",)
        assert pem.addresses_of(made.certificate) == ()

    def test_many_names_are_told_in_short_and_none_forges_a_line(self):
        names = [f"{each}.example" for each in range(10)]
        assert pem.describe(Issued(*names).certificate) == ", ".join(names[:4]) + " and 6 more"
        assert pem.describe(Issued("a\nb", san=False).certificate) == "a?b"

    @pytest.mark.parametrize(
        ("keys", "certificates", "why"),
        [
            ([], [LEAF.certificate], "there is no private key"),
            ([LEAF.key], [], "there is no certificate"),
            ([OTHER.key], [LEAF.certificate], "the private key is not that of the certificate"),
        ],
    )
    def test_what_does_not_belong_together_is_told(self, keys, certificates, why):
        with pytest.raises(ValueError, match=why):
            pem.pair(keys, certificates)

    def test_it_is_another_one_when_it_is_renewed_with_the_same_key(self):
        renewed = Issued("S3.home.lan", issuer=MIDDLE, key=LEAF.key)
        assert pem.pair([LEAF.key], [LEAF.certificate]) != pem.pair([LEAF.key], [renewed.certificate])
        assert pem.pair([LEAF.key], [LEAF.certificate]) == pem.pair([LEAF.key], [LEAF.certificate])


class TestChain:
    def test_it_leads_to_the_root_and_leaves_that_out(self):
        pool = [OTHER.certificate, ROOT.certificate, MIDDLE.certificate, LEAF.certificate]
        assert pem.chain_of(LEAF.certificate, pool) == (MIDDLE.certificate,)
        assert pem.chain_of(ROOT.certificate, pool) == ()
        assert pem.chain_of(LEAF.certificate, [ROOT.certificate]) == ()

    def test_a_name_alone_makes_no_issuer(self):
        impostor = Issued("in the middle", issuer=ROOT, authority=True)
        assert pem.chain_of(LEAF.certificate, [impostor.certificate, MIDDLE.certificate]) == (MIDDLE.certificate,)

    def test_a_circle_ends(self):
        one = Issued("one", issuer=OTHER, authority=True)
        two = Issued("two", issuer=one, authority=True)
        again = Issued("one", issuer=two, authority=True, key=one.key)
        leaf = Issued("leaf", issuer=two)
        assert len(pem.chain_of(leaf.certificate, [two.certificate, again.certificate])) == 2


def test_the_fingerprint_is_the_one_that_browsers_show():
    digest = pem.fingerprint(LEAF.certificate)
    assert len(digest.split(":")) == 32
    assert digest == digest.upper()


def test_keys_of_the_usual_kinds_are_read():
    key = rsa.generate_private_key(65537, 2048)
    traditional = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    assert traditional.startswith(b"-----BEGIN RSA PRIVATE KEY-----")
    assert len(pem.parse(traditional).keys) == 1
