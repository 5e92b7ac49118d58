"""Certificates as they are on disk, and what clients are shown in real handshakes."""

import os
import ssl
import time
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL

from tests.certificates import Issued
from tests.handshake import Now, client_context, shake_hands, shown, write
from zs3.tls import certificates, files
from zs3.tls.certificates import CertificateFiles, validity


@pytest.fixture
def now():
    return Now()


@pytest.fixture
def reads(monkeypatch):
    """The paths of the files that were read."""
    seen = []
    real = files.read
    monkeypatch.setattr(files, "read", lambda path: seen.append(path) or real(path))
    return seen


@pytest.fixture(autouse=True)
def later(monkeypatch):
    """It is a minute later than the files say, so that their times tell every change."""
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 60)


class TestFiles:
    @pytest.fixture
    def first(self):
        return Issued("first")

    @pytest.fixture
    def pem(self, tmp_path, first):
        path = tmp_path / "server.pem"
        write(path, first.both)
        return path

    @pytest.fixture
    def kept(self, pem, now):
        kept = CertificateFiles(str(pem), str(pem), now=now)
        kept.reload()
        return kept

    def test_a_renewed_file_is_taken_a_second_later_and_told_once(self, kept, pem, now, first, logged):
        assert shown(kept) == first.certificate
        second = Issued("second")
        write(pem, second.both)
        assert shown(kept) == first.certificate
        now.pass_by()
        assert shown(kept) == second.certificate
        now.pass_by()
        assert shown(kept) == second.certificate
        (line,) = logged("info")
        assert line.startswith("new certificate for second, valid until 20")
        assert line.endswith(f": {pem}")

    def test_nothing_is_read_where_nothing_has_changed(self, kept, now, reads):
        for _ in range(3):
            now.pass_by()
            shown(kept)
        assert reads == []

    def test_nothing_is_looked_at_twice_in_a_second(self, kept, now, monkeypatch):
        looks = []
        real = files.state_of
        monkeypatch.setattr(files, "state_of", lambda path: looks.append(path) or real(path))
        now.pass_by()
        for _ in range(5):
            shown(kept)
        assert len(looks) == 1

    def test_a_file_that_changed_just_now_is_read_again(self, kept, pem, now, monkeypatch, reads):
        """Its times may be the same after another change."""
        write(pem, Issued("second").both)
        ctime = pem.stat().st_ctime
        for seconds, count in ((0, 1), (1, 2), (2, 3), (3, 3)):
            monkeypatch.setattr(time, "time", lambda seconds=seconds: ctime + seconds)
            now.pass_by()
            shown(kept)
            assert len(reads) == count

    @pytest.mark.parametrize("how", ["garbage", "half", "empty", "gone", "mismatch", "directory", "pipe", "large"])
    def test_a_broken_file_leaves_the_old_one_and_is_told_once(self, kept, pem, now, first, logged, how):
        second = Issued("second")
        if how in ("gone", "directory", "pipe"):
            pem.unlink()
        if how == "directory":
            pem.mkdir()
        elif how == "pipe":
            os.mkfifo(pem)
        elif how != "gone":
            data = {
                "garbage": b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n" + second.key_pem,
                "half": second.both[:-40],
                "empty": b"",
                "mismatch": second.key_pem + first.pem,
                "large": second.both + b"\n" * files.MAX_FILE_SIZE,
            }
            write(pem, data[how])
        for _ in range(3):
            now.pass_by()
            assert shown(kept) == first.certificate
        (line,) = logged("info")
        assert line.startswith(f"{pem}: ")
        assert line.endswith("; the certificate of before stays in use")
        if how in ("directory", "pipe"):
            (pem.rmdir if how == "directory" else pem.unlink)()
        write(pem, second.both)
        now.pass_by()
        assert shown(kept) == second.certificate
        assert len(logged("info")) == 2

    def test_another_broken_file_is_told_again(self, kept, pem, now, logged):
        for number in range(2):
            write(pem, b"nonsense %d" % number)
            now.pass_by()
            shown(kept)
        assert len(logged()) == 2

    def test_what_cannot_be_read_for_the_moment_is_tried_again(self, kept, pem, now, first, logged, monkeypatch):
        second = Issued("second")
        write(pem, second.both)
        real = files.read
        with monkeypatch.context() as patch:
            patch.setattr(files, "read", lambda path: (_ for _ in ()).throw(OSError(24, "Too many open files")))
            now.pass_by()
            assert shown(kept) == first.certificate
            assert logged() == [f"{pem}: Too many open files; the certificate of before stays in use"]
        assert files.read is real
        now.pass_by()
        assert shown(kept) == second.certificate

    def test_what_openssl_does_not_take_leaves_the_old_one(self, kept, pem, now, first, logged, monkeypatch):
        write(pem, Issued("second").both)

        def fail(*_):
            raise SSL.Error([("SSL routines", "", "ee key too small")])

        monkeypatch.setattr(certificates, "make_context", fail)
        now.pass_by()
        assert shown(kept) == first.certificate
        assert "OpenSSL does not take it (ee key too small)" in logged()[0]

    def test_key_and_certificate_are_renewed_one_after_the_other(self, tmp_path, now, first, logged):
        key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
        write(key, first.key_pem)
        write(certificate, first.pem)
        kept = CertificateFiles(str(key), str(certificate), now=now)
        kept.reload()
        second = Issued("second")
        write(key, second.key_pem)
        now.pass_by()
        assert shown(kept) == first.certificate
        (line,) = logged()
        assert line.startswith(f"{certificate} and {key}: the private key is not that of the certificate; ")
        write(certificate, second.pem)
        now.pass_by()
        assert shown(kept) == second.certificate

    def test_links_as_certbot_makes_them_are_followed(self, tmp_path, now, first, logged):
        """live/x/fullchain.pem leads to archive/x/fullchainN.pem."""
        root = Issued("a root")
        live, archive = tmp_path / "live" / "x", tmp_path / "archive" / "x"
        live.mkdir(parents=True)
        renewals = [Issued("s3.example.org", issuer=root) for _ in range(2)]

        def link(name, number):
            (live / "new").symlink_to(f"../../archive/x/{name}{number}.pem")
            (live / "new").rename(live / f"{name}.pem")

        for number, each in enumerate(renewals):
            write(archive / f"privkey{number}.pem", each.key_pem)
            write(archive / f"fullchain{number}.pem", each.pem + root.pem)
        for name in ("privkey", "fullchain"):
            link(name, 0)
        kept = CertificateFiles(str(live / "privkey.pem"), str(live / "fullchain.pem"), now=now)
        kept.reload()
        assert shown(kept) == renewals[0].certificate
        for name, expected in (("privkey", 0), ("fullchain", 1)):
            link(name, 1)
            now.pass_by()
            assert shown(kept) == renewals[expected].certificate
        assert len(logged()) == 1

    def test_intermediate_certificates_are_sent(self, tmp_path, now):
        root = Issued("a root")
        middle = Issued("in the middle", issuer=root, authority=True)
        leaf = Issued("leaf.example", issuer=middle)
        write(tmp_path / "key.pem", leaf.key_pem)
        write(tmp_path / "fullchain.pem", leaf.pem + middle.pem)
        write(tmp_path / "cert.pem", leaf.pem)
        write(tmp_path / "chain.pem", middle.pem)
        trusting = client_context(trust=root.pem)
        for names in (("fullchain.pem",), ("cert.pem", "chain.pem")):
            kept = CertificateFiles(str(tmp_path / "key.pem"), *(str(tmp_path / each) for each in names), now=now)
            kept.reload()
            assert shown(kept, "leaf.example", trusting) == leaf.certificate
        alone = CertificateFiles(str(tmp_path / "key.pem"), str(tmp_path / "cert.pem"), now=now)
        alone.reload()
        with pytest.raises(ssl.SSLCertVerificationError):
            shown(alone, "leaf.example", trusting)

    def test_a_chain_file_without_a_certificate_is_refused(self, pem, tmp_path):
        write(tmp_path / "chain.pem", b"")
        kept = CertificateFiles(str(pem), str(pem), str(tmp_path / "chain.pem"))
        with pytest.raises(ValueError, match="there is no certificate in "):
            kept.reload()

    def test_a_reload_looks_at_once(self, kept, pem, first):
        second = Issued("second")
        write(pem, second.both)
        kept.reload()
        assert shown(kept) == second.certificate

    def test_a_reload_of_something_broken_says_so_and_keeps_the_old_one(self, kept, pem, first, logged, now):
        write(pem, b"nonsense")
        with pytest.raises(ValueError, match="there is no private key; the certificate of before stays in use"):
            kept.reload()
        assert shown(kept) == first.certificate
        now.pass_by()
        shown(kept)
        assert logged() == []  # the caller has told it

    def test_a_connection_that_is_open_is_not_touched(self, kept, pem, now, first):
        open_one = shake_hands(kept).client
        write(pem, Issued("second").both)
        now.pass_by()
        shown(kept)
        assert ssl.DER_cert_to_PEM_cert(open_one.getpeercert(True)).encode() == first.pem
        open_one.write(b"still encrypted")

    def test_the_first_reading_names_what_is_wrong(self, tmp_path):
        with pytest.raises(ValueError, match=r"^/nowhere/key\.pem: No such file or directory$"):
            CertificateFiles("/nowhere/key.pem", "/nowhere/cert.pem").reload()


class TestProtocol:
    @pytest.fixture
    def kept(self, tmp_path, now):
        write(tmp_path / "server.pem", Issued("server").both)
        kept = CertificateFiles(str(tmp_path / "server.pem"), str(tmp_path / "server.pem"), now=now)
        kept.reload()
        return kept

    def test_http_1_1_is_agreed_on(self, kept):
        assert shake_hands(kept).client.selected_alpn_protocol() == "http/1.1"
        assert shake_hands(kept, context=client_context(alpn=["h2"])).client.selected_alpn_protocol() is None

    @pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
    def test_this_version_is_spoken(self, kept, version):
        context = client_context()
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
        client = shake_hands(kept, context=context).client
        assert client.version() == version.replace("_", ".")
        assert client.compression() is None

    @pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
    @pytest.mark.parametrize("kind", ["RSA", "P-384"])
    def test_keys_of_other_kinds_are_served(self, tmp_path, now, version, kind):
        key = rsa.generate_private_key(65537, 2048) if kind == "RSA" else ec.generate_private_key(ec.SECP384R1())
        made = Issued("other", key=key)
        write(tmp_path / "other.pem", made.both)
        kept = CertificateFiles(*[str(tmp_path / "other.pem")] * 2, now=now)
        kept.reload()
        context = client_context(trust=made.pem)
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
        assert shown(kept, "other", context) == made.certificate

    @pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
    @pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"])
    def test_this_version_is_refused(self, kept, version):
        context = client_context()
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
        with pytest.raises((SSL.Error, ssl.SSLError)) as caught:
            shake_hands(kept, context=context)
        assert "unsupported protocol" in str(caught.value) or "PROTOCOL_VERSION" in str(caught.value)

    @pytest.mark.parametrize(
        "cipher",
        ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256"],
    )
    def test_this_cipher_is_refused(self, kept, cipher):
        context = client_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(cipher + ":@SECLEVEL=0")
        with pytest.raises((SSL.Error, ssl.SSLError)) as caught:
            shake_hands(kept, context=context)
        assert "no shared cipher" in str(caught.value) or "HANDSHAKE_FAILURE" in str(caught.value)

    def test_the_ciphers_of_tls_1_2_are_these(self, kept):
        connection = kept.serverConnectionForTLS(None)
        assert [each for each in connection.get_cipher_list() if not each.startswith("TLS_")] == [
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            "ECDHE-RSA-AES256-GCM-SHA384",
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            "ECDHE-RSA-AES128-GCM-SHA256",
            "ECDHE-ECDSA-CHACHA20-POLY1305",
            "ECDHE-RSA-CHACHA20-POLY1305",
        ]

    @pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
    def test_a_session_is_resumed_until_the_keys_of_tickets_change(self, kept, now, version):
        context = client_context()
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
        session = shake_hands(kept, "a", context).client.session
        assert shake_hands(kept, "a", context, session=session).client.session_reused
        now.pass_by(86_400)
        assert not shake_hands(kept, "a", context, session=session).client.session_reused


class TestExpiry:
    @pytest.fixture
    def open_files(self, tmp_path, now):
        def open_files(days):
            write(tmp_path / "server.pem", Issued("server", days=days).both)
            kept = CertificateFiles(str(tmp_path / "server.pem"), str(tmp_path / "server.pem"), now=now)
            kept.reload()
            return kept

        return open_files

    @pytest.mark.parametrize(("days", "words"), [(13, ", in 12 days"), (1, "expires on"), (-2, "has expired on")])
    def test_it_is_told_at_the_start_at_a_reload_and_once_a_day(self, open_files, now, logged, days, words):
        kept = open_files(days)
        assert logged() == []
        kept.announce()
        kept.reload()
        now.pass_by(80_000)
        shown(kept)
        lines = logged()
        assert len(lines) == 2
        assert lines[0].startswith("the certificate for server ")
        assert words in lines[0]
        now.pass_by(10_000)
        shown(kept)
        assert len(logged()) == 3

    def test_one_that_is_good_for_longer_is_not_told(self, open_files, logged):
        open_files(15).announce()
        assert logged() == []

    def test_one_that_is_not_valid_yet_is_told(self, open_files):
        pair = open_files(300).served[0].pair
        begins = pair.certificate.not_valid_before_utc
        assert validity(pair, begins) is None
        assert validity(pair, begins - timedelta(hours=1)) == f"is not valid before {begins:%Y-%m-%d %H:%M} UTC"
