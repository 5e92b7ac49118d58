"""Certificates of a directory: who is shown which, and what becomes of files that are added, changed and removed."""

import datetime
import os
import ssl
import time

import pytest
from OpenSSL import SSL

from tests.certificates import Issued
from tests.handshake import Now, client_context, shake_hands, shown, write
from zs3.tls import certificates, files
from zs3.tls.certificates import CertificateDirectory


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


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "tls"


@pytest.fixture
def open_directory(directory, now):
    def open_directory():
        kept = CertificateDirectory(str(directory), now)
        kept.reload()
        return kept

    return open_directory


def test_each_name_has_its_certificate(directory, open_directory):
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


def test_without_a_name_or_with_an_unknown_one_it_is_that_of_the_first_file(directory, open_directory):
    first, second = Issued("first"), Issued("second")
    write(directory / "b.pem", second.both)
    write(directory / "a.pem", first.both)
    kept = open_directory()
    assert shown(kept) == first.certificate
    assert shown(kept, "x.y.unknown") == first.certificate
    assert shown(kept, "second") == second.certificate


def test_default_pem_is_the_default(directory, open_directory):
    default = Issued("default")
    write(directory / "a.pem", Issued("first").both)
    write(directory / "default.pem", default.both)
    assert shown(open_directory()) == default.certificate


@pytest.mark.parametrize("address", ["192.168.1.10", "::ffff:192.168.1.10", "fd00::1"])
def test_without_a_name_it_is_that_for_the_address(directory, open_directory, address):
    mine = Issued("mine", addresses=("192.168.1.10", "fd00::1"))
    write(directory / "a.pem", Issued("first").both)
    write(directory / "mine.pem", mine.both)
    kept = open_directory()
    assert shown(kept, host=address) == mine.certificate
    assert shown(kept, host="192.168.1.11") != mine.certificate


def test_one_for_addresses_alone_is_served(directory, open_directory):
    lonely = Issued("192.168.1.10", san=False)
    write(directory / "a.pem", lonely.both)
    assert shown(open_directory()) == lonely.certificate


def test_new_files_are_seen(directory, open_directory, now, logged):
    first, second = Issued("first"), Issued("second")
    write(directory / "first.pem", first.both)
    kept = open_directory()
    assert shown(kept, "second") == first.certificate
    write(directory / "below" / "second.pem", second.both)
    now.pass_by()
    assert shown(kept, "second") == second.certificate
    (line,) = logged("info")
    assert line.startswith("new certificate for second")


def test_removed_files_are_seen(directory, open_directory, now, logged):
    first, second = Issued("first"), Issued("second")
    write(directory / "first.pem", first.both)
    write(directory / "second.pem", second.both)
    kept = open_directory()
    (directory / "second.pem").unlink()
    now.pass_by()
    assert shown(kept, "second") == first.certificate
    assert logged("info") == [f"no more certificate for second: {directory}/second.pem is gone"]


def test_changed_files_are_seen_and_only_they_are_read(directory, open_directory, now, reads):
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
def test_a_broken_file_leaves_its_old_certificate_and_is_told_once(directory, open_directory, now, logged, how):
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


def test_a_directory_of_certbot_is_renewed_file_by_file(directory, open_directory, now):
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


def test_of_several_for_a_name_it_is_the_newest_valid_one(directory, open_directory):
    expired, old, new = Issued("name", days=-1), Issued("name", since=60), Issued("name", since=30)
    for path, each in (("a", expired), ("b", old), ("c", new), ("d", old)):
        write(directory / f"{path}.pem", each.both)
    assert shown(open_directory(), "name") == new.certificate


def test_when_the_newest_has_expired_an_older_one_that_is_valid_is_shown(directory, open_directory, now, monkeypatch):
    old, new = Issued("name", since=60, days=30), Issued("name", days=5)
    write(directory / "old.pem", old.both)
    write(directory / "new.pem", new.both)
    kept = open_directory()
    assert shown(kept, "name") == new.certificate

    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) + datetime.timedelta(days=6)

    monkeypatch.setattr(certificates, "datetime", Later)
    now.pass_by()
    assert shown(kept, "name") == old.certificate


def test_what_is_of_no_use_is_told_and_left_out(directory, open_directory, logged):
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


def test_one_that_openssl_does_not_take_is_left_out(directory, open_directory, monkeypatch):
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
def test_without_any_the_old_ones_stay(directory, open_directory, now, logged, how):
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


def test_a_file_may_have_several(directory, open_directory, now, logged):
    made = [Issued(f"{number}.example") for number in range(3)]
    path = directory / "all.pem"
    write(path, b"".join(each.both for each in made))
    kept = open_directory()
    before = list(kept.served)
    write(path, b"".join(each.both for each in made) + b"\n")
    now.pass_by()
    for number, each in enumerate(made):
        assert shown(kept, f"{number}.example") == each.certificate
    assert list(kept.served) == before
    write(path, b"")
    for number, each in enumerate(made):
        now.pass_by()
        assert shown(kept, f"{number}.example") == each.certificate
    assert len(logged()) == 1


def test_a_directory_in_it_that_cannot_be_read_takes_nothing_away(directory, open_directory, now, logged, monkeypatch):
    first, below = Issued("first"), Issued("below")
    write(directory / "first.pem", first.both)
    write(directory / "sub" / "below.pem", below.both)
    kept = open_directory()
    real = os.scandir

    def scandir(path):
        if path.endswith("/sub"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    for _ in range(3):
        now.pass_by()
        assert shown(kept, "below") == below.certificate
    assert logged("info") == [f"{directory}/sub: Permission denied; the certificates of before stay in use"]


def test_directories_that_are_links_are_followed_but_not_in_circles(directory, open_directory, tmp_path):
    elsewhere = Issued("elsewhere")
    write(tmp_path / "live" / "fullchain.pem", elsewhere.both)
    directory.mkdir()
    (directory / "elsewhere").symlink_to(tmp_path / "live")
    (tmp_path / "live" / "back").symlink_to(directory)
    assert shown(open_directory(), "elsewhere") == elsewhere.certificate


def test_one_for_another_name_does_not_change_the_protocol(directory, open_directory):
    write(directory / "first.pem", Issued("first").both)
    write(directory / "second.pem", Issued("second").both)
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-GCM-SHA256")
    kept = open_directory()
    assert shake_hands(kept, "second").client.selected_alpn_protocol() == "http/1.1"
    with pytest.raises((SSL.Error, ssl.SSLError)):
        shake_hands(kept, "second", context)
