"""Certificates as they are on disk, and what clients are shown in real handshakes."""

import os
import ssl
import time
from datetime import timedelta

import pytest
from OpenSSL import SSL

from tests.certificates import Issued
from tests.handshake import client_context, shake_hands
from zs3.tls import certificates, files
from zs3.tls.certificates import CertificateDirectory, CertificateFiles, validity


class Now:
    """A clock that is set by hand."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds

    def pass_by(self, seconds=1.0):
        self.seconds += seconds


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


def write(path, data):
    """Put a file in place of another, as those do who renew certificates."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name("." + path.name)
    temporary.write_bytes(data)
    temporary.rename(path)


@pytest.fixture(autouse=True)
def later(monkeypatch):
    """It is a minute later than the files say, so that their times tell every change."""
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 60)


def shown(certificates, *arguments, **named):
    return shake_hands(certificates, *arguments, **named).certificate


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


class TestDirectory:
    @pytest.fixture
    def directory(self, tmp_path):
        return tmp_path / "tls"

    @pytest.fixture
    def open_directory(self, directory, now):
        def open_directory():
            kept = CertificateDirectory(str(directory), now)
            kept.reload()
            return kept

        return open_directory

    def test_each_name_has_its_certificate(self, directory, open_directory):
        made = {name: Issued(name) for name in ("a.example", "b.example", "*.example", "*.b.example")}
        for name, each in made.items():
            write(directory / f"{name.replace('*', 'any')}.pem", each.both)
        kept = open_directory()
        for asked, expected in (
            ("a.example", "a.example"),
            ("B.Example", "b.example"),
            ("c.example", "*.example"),
            ("x.b.example", "*.b.example"),
        ):
            assert shown(kept, asked) == made[expected].certificate, asked

    def test_without_a_name_or_with_an_unknown_one_it_is_that_of_the_first_file(self, directory, open_directory):
        first, second = Issued("first"), Issued("second")
        write(directory / "b.pem", second.both)
        write(directory / "a.pem", first.both)
        kept = open_directory()
        assert shown(kept) == first.certificate
        assert shown(kept, "x.y.unknown") == first.certificate
        assert shown(kept, "second") == second.certificate

    def test_default_pem_is_the_default(self, directory, open_directory):
        default = Issued("default")
        write(directory / "a.pem", Issued("first").both)
        write(directory / "default.pem", default.both)
        assert shown(open_directory()) == default.certificate

    @pytest.mark.parametrize("address", ["192.168.1.10", "::ffff:192.168.1.10", "fd00::1"])
    def test_without_a_name_it_is_that_for_the_address(self, directory, open_directory, address):
        mine = Issued("mine", addresses=("192.168.1.10", "fd00::1"))
        write(directory / "a.pem", Issued("first").both)
        write(directory / "mine.pem", mine.both)
        kept = open_directory()
        assert shown(kept, host=address) == mine.certificate
        assert shown(kept, host="192.168.1.11") != mine.certificate

    def test_one_for_addresses_alone_is_served(self, directory, open_directory):
        lonely = Issued("192.168.1.10", san=False)
        write(directory / "a.pem", lonely.both)
        assert shown(open_directory()) == lonely.certificate

    def test_new_files_are_seen(self, directory, open_directory, now, logged):
        first, second = Issued("first"), Issued("second")
        write(directory / "first.pem", first.both)
        kept = open_directory()
        assert shown(kept, "second") == first.certificate
        write(directory / "below" / "second.pem", second.both)
        now.pass_by()
        assert shown(kept, "second") == second.certificate
        (line,) = logged("info")
        assert line.startswith("new certificate for second")

    def test_removed_files_are_seen(self, directory, open_directory, now, logged):
        first, second = Issued("first"), Issued("second")
        write(directory / "first.pem", first.both)
        write(directory / "second.pem", second.both)
        kept = open_directory()
        (directory / "second.pem").unlink()
        now.pass_by()
        assert shown(kept, "second") == first.certificate
        assert logged("info") == [f"no more certificate for second: {directory}/second.pem is gone"]

    def test_changed_files_are_seen_and_only_they_are_read(self, directory, open_directory, now, reads):
        for name in ("first", "second", "third"):
            write(directory / f"{name}.pem", Issued(name).both)
        kept = open_directory()
        reads.clear()
        now.pass_by()
        shown(kept)
        assert reads == []
        renewed = Issued("second")
        write(directory / "second.pem", renewed.both)
        now.pass_by()
        assert shown(kept, "second") == renewed.certificate
        assert reads == [f"{directory}/second.pem"]

    @pytest.mark.parametrize("how", ["garbage", "half", "empty", "mismatch", "unreadable"])
    def test_a_broken_file_leaves_its_old_certificate_and_is_told_once(
        self, directory, open_directory, now, logged, how
    ):
        first, second, renewed = Issued("first"), Issued("second"), Issued("first")
        path = directory / "first.pem"
        write(path, first.both)
        write(directory / "second.pem", second.both)
        kept = open_directory()
        if how == "unreadable":
            path.unlink()
            os.mkfifo(path)
        else:
            data = {
                "garbage": b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n",
                "half": renewed.both[:-40],
                "empty": b"",
                "mismatch": renewed.key_pem + first.pem,
            }
            write(path, data[how])
        again = Issued("second")
        write(directory / "second.pem", again.both)
        for _ in range(3):
            now.pass_by()
            assert shown(kept, "first") == first.certificate
            assert shown(kept, "second") == again.certificate
        (line,) = logged()
        assert line.startswith(f"{path}: ")
        assert line.endswith("; what was there before stays in use")
        path.unlink()
        write(path, renewed.both)
        now.pass_by()
        assert shown(kept, "first") == renewed.certificate
        assert len(logged()) == 1

    def test_a_directory_of_certbot_is_renewed_file_by_file(self, directory, open_directory, now):
        """Each of the four links is set in turn, and at no time is there nothing to show."""
        root = Issued("a root")
        middle = Issued("in the middle", issuer=root, authority=True)
        renewals = [Issued("s3.example.org", issuer=middle, days=days) for days in (30, 90)]
        trusting = client_context(trust=root.pem)

        def put(name, number):
            leaf = renewals[number]
            data = {
                "cert": leaf.pem,
                "privkey": leaf.key_pem,
                "chain": middle.pem,
                "fullchain": leaf.pem + middle.pem,
            }
            write(directory / "s3.example.org" / f"{name}.pem", data[name])

        names = ("cert", "privkey", "chain", "fullchain")
        for name in names:
            put(name, 0)
        kept = open_directory()
        assert shown(kept, "s3.example.org", trusting) == renewals[0].certificate
        for name in names:
            put(name, 1)
            now.pass_by()
            assert shown(kept, "s3.example.org", trusting) in [each.certificate for each in renewals]
        assert shown(kept, "s3.example.org", trusting) == renewals[1].certificate

    def test_of_several_for_a_name_it_is_the_newest_valid_one(self, directory, open_directory):
        expired, old = Issued("name", days=-1), Issued("name", days=30)
        write(directory / "a.pem", expired.both)
        write(directory / "b.pem", old.both)
        assert shown(open_directory(), "name") == old.certificate

    def test_what_is_of_no_use_is_told_and_left_out(self, directory, open_directory, logged):
        root, good = Issued("a root"), Issued("good")
        write(directory / "good.pem", good.both)
        write(directory / "root.pem", root.pem)
        write(directory / "cert.pem", Issued("nobody", issuer=root).pem)
        write(directory / "key.pem", Issued("nobody").key_pem)
        write(directory / "notes.pem", b"nothing")
        write(directory / "README", b"-----BEGIN CERTIFICATE-----")
        write(directory / ".hidden.pem", b"-----BEGIN CERTIFICATE-----")
        kept = open_directory()
        assert logged() == []
        kept.announce()
        assert logged() == [
            f"{directory}/cert.pem: there is no private key for its certificate; it is not used",
            f"{directory}/key.pem: there is no certificate for its private key; it is not used",
        ]
        kept.reload()  # that is no reason to fail

    def test_one_that_openssl_does_not_take_is_left_out(self, directory, open_directory, monkeypatch):
        write(directory / "bad.pem", Issued("bad").both)
        write(directory / "good.pem", Issued("good").both)
        real = certificates.make_context

        def make(pair, choose):
            if pair.names == ("bad",):
                raise SSL.Error([("SSL routines", "", "ca md too weak")])
            return real(pair, choose)

        monkeypatch.setattr(certificates, "make_context", make)
        kept = open_directory()
        assert [each.pair.names for each in kept.served] == [("good",)]

    @pytest.mark.parametrize("how", ["emptied", "gone"])
    def test_without_any_the_old_ones_stay(self, directory, open_directory, now, logged, how):
        first = Issued("first")
        write(directory / "first.pem", first.both)
        kept = open_directory()
        (directory / "first.pem").unlink()
        if how == "gone":
            directory.rmdir()
        for _ in range(3):
            now.pass_by()
            assert shown(kept, "first") == first.certificate
        (line,) = logged()
        assert line.startswith(f"{directory}: ")
        assert line.endswith("; the certificates of before stay in use")
        second = Issued("second")
        write(directory / "second.pem", second.both)
        now.pass_by()
        assert shown(kept, "first") == second.certificate

    def test_directories_that_are_links_are_followed_but_not_in_circles(self, directory, open_directory, tmp_path):
        elsewhere = Issued("elsewhere")
        write(tmp_path / "live" / "fullchain.pem", elsewhere.both)
        directory.mkdir()
        (directory / "elsewhere").symlink_to(tmp_path / "live")
        (tmp_path / "live" / "back").symlink_to(directory)
        assert shown(open_directory(), "elsewhere") == elsewhere.certificate

    def test_one_for_another_name_does_not_change_the_protocol(self, directory, open_directory):
        write(directory / "first.pem", Issued("first").both)
        write(directory / "second.pem", Issued("second").both)
        context = client_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AES128-GCM-SHA256")
        kept = open_directory()
        assert shake_hands(kept, "second").client.selected_alpn_protocol() == "http/1.1"
        with pytest.raises((SSL.Error, ssl.SSLError)):
            shake_hands(kept, "second", context)


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
