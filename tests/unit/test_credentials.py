"""Logging in at a `twisted.cred` portal with a signed request."""

import os
from dataclasses import replace

import pytest
from twisted.cred.portal import IRealm, Portal
from twisted.cred.strcred import ICheckerFactory
from twisted.internet.task import Clock
from zope.interface import Interface, implementer
from zope.interface.verify import verifyObject

from zs3.auth import accounts
from zs3.auth.credentials import (
    ISignedRequest,
    IUserDirectory,
    S3LoginFailed,
    SignedRequest,
    UsersChecker,
    UsersFileChecker,
    ZS3CheckerFactory,
)
from zs3.auth.users import User
from zs3.errors import S3Error

ALICE = User("ALICE", "alices-secret", "admin", None, "alice")
FILE = '[users.alice]\naccess_key = "ALICE"\nsecret_key = "{secret}"\nrole = "admin"\n'


class FakeClaim:
    """A claim that the one right secret satisfies, and that remembers what it was checked with."""

    def __init__(self, access_key="ALICE", secret="alices-secret"):
        self.access_key = access_key
        self._secret = secret
        self.checked = []

    def check(self, secret):
        self.checked.append(secret)
        return ("signer", secret) if secret == self._secret else None

    def mismatch(self):
        return S3Error("SignatureDoesNotMatch", StringToSign="what was signed")


@implementer(IRealm)
class WhoRealm:
    def requestAvatar(self, avatarId, mind, *interfaces):
        return interfaces[0], avatarId, lambda: None


def login(checker, claim):
    """(avatar, None) or (None, the error)."""
    outcome = []
    request = SignedRequest(claim)
    login = Portal(WhoRealm(), [checker]).login(request, None, Interface)
    login.addCallbacks(lambda avatar: outcome.append((avatar[1], None)), lambda f: outcome.append((None, f.value)))
    assert outcome, "a login never waits"
    return (request, *outcome[0])


def write(path, secret="alices-secret", mode=0o600):
    path.write_text(FILE.format(secret=secret))
    path.chmod(mode)
    return str(path)


def test_right_secret_logs_in_as_the_access_key():
    request, avatar, _ = login(UsersChecker({"ALICE": ALICE}), FakeClaim())
    assert avatar == b"ALICE"
    assert request.signer == ("signer", "alices-secret")


def test_wrong_secret_fails_with_what_the_claim_says():
    request, _, error = login(UsersChecker({"ALICE": ALICE}), FakeClaim(secret="another"))
    assert isinstance(error, S3LoginFailed)
    assert error.error.code == "SignatureDoesNotMatch"
    assert error.error.fields == {"StringToSign": "what was signed"}
    assert request.signer is None


def test_14_unknown_key_costs_a_check_too_and_fails_even_if_that_matches():
    checker = UsersChecker({"ALICE": ALICE})
    claim = FakeClaim(access_key="MALLORY")
    _, _, error = login(checker, claim)
    assert error.error.code == "InvalidAccessKeyId"
    assert error.error.fields == {"AWSAccessKeyId": "MALLORY"}
    (dummy,) = claim.checked
    _, _, error = login(checker, FakeClaim(access_key="MALLORY", secret=dummy))
    assert error.error.code == "InvalidAccessKeyId"


def test_disabled_key_is_refused_like_one_that_nobody_has_even_with_its_secret():
    checker = UsersChecker({"ALICE": replace(ALICE, enabled=False)})
    claim = FakeClaim()
    _, avatar, error = login(checker, claim)
    assert avatar is None
    assert (error.error.code, error.error.fields) == ("InvalidAccessKeyId", {"AWSAccessKeyId": "ALICE"})
    stranger = FakeClaim(access_key="MALLORY")
    login(checker, stranger)
    assert claim.checked == stranger.checked != ["alices-secret"]


def test_account_of_a_disabled_user_is_still_there():
    checker = UsersChecker({"ALICE": replace(ALICE, account="family", enabled=False)})
    assert checker.find_account(accounts.canonical_id("family")) == "family"


def test_17_secret_of_nobody_is_not_that_of_another_process():
    claims = FakeClaim("X"), FakeClaim("X")
    for claim in claims:
        login(UsersChecker({}), claim)
    assert claims[0].checked != claims[1].checked


def test_the_failure_does_not_carry_the_secret():
    _, _, error = login(UsersChecker({"ALICE": ALICE}), FakeClaim(secret="another"))
    assert "alices-secret" not in repr(error) + str(error) + repr(vars(error.error))


def test_interfaces_are_kept(tmp_path):
    verifyObject(ISignedRequest, SignedRequest(FakeClaim()))
    verifyObject(IUserDirectory, UsersChecker({}))
    verifyObject(IUserDirectory, UsersFileChecker(write(tmp_path / "users")))
    verifyObject(ICheckerFactory, ZS3CheckerFactory())


class TestUsersFile:
    @pytest.fixture
    def clock(self):
        return Clock()

    @pytest.fixture
    def checker(self, tmp_path, clock):
        checker = UsersFileChecker(write(tmp_path / "users"), clock.seconds)
        checker.reload()
        return checker

    def test_nobody_is_known_before_it_is_read(self, tmp_path):
        assert UsersFileChecker(write(tmp_path / "users"), Clock().seconds).lookup("ALICE") is None

    def test_change_is_taken_over_within_a_second(self, checker, clock, tmp_path):
        write(tmp_path / "users", "a-new-secret")
        clock.advance(1)
        assert checker.lookup("ALICE").secret_key == "a-new-secret"

    def test_file_is_not_looked_at_more_often(self, checker, clock, tmp_path, monkeypatch):
        looks = []
        stat = os.stat
        monkeypatch.setattr(os, "stat", lambda path: looks.append(path) or stat(path))
        for _ in range(8):
            clock.advance(0.25)
            checker.lookup("ALICE")
        assert looks == [str(tmp_path / "users")] * 2

    def test_unchanged_file_is_not_read_again(self, checker, clock):
        before = checker.lookup("ALICE")
        clock.advance(5)
        assert checker.lookup("ALICE") is before

    def test_replaced_file_of_the_same_size_and_time_is_noticed(self, checker, clock, tmp_path):
        new, old = tmp_path / "new", tmp_path / "users"
        write(new, "equal-length!")
        os.utime(new, ns=(old.stat().st_atime_ns, old.stat().st_mtime_ns))
        assert new.stat().st_size == old.stat().st_size
        new.rename(old)
        clock.advance(1)
        assert checker.lookup("ALICE").secret_key == "equal-length!"

    def test_broken_file_leaves_the_users_and_is_reported_once(self, checker, clock, tmp_path, logged):
        (tmp_path / "users").write_text("[users.alice")
        for _ in range(3):
            clock.advance(1)
            assert checker.lookup("ALICE") == ALICE
        (event,) = logged()
        assert str(tmp_path / "users") in event
        assert "stay those of before" in event

    def test_file_that_cannot_be_read_for_a_moment_is_read_again(self, checker, clock, tmp_path, logged, monkeypatch):
        """A key that was taken away must not stay because descriptors had run out just then."""
        checker.reload()
        write(tmp_path / "users", secret="another-secret")

        def out_of_files(*_):
            raise OSError(24, "Too many open files")

        with monkeypatch.context() as patch:
            patch.setattr("zs3.auth.users.os.open", out_of_files)
            for _ in range(3):
                clock.advance(1)
                assert checker.lookup("ALICE").secret_key == "alices-secret"
        assert len([text for text in logged() if "Too many open files" in text]) == 1
        clock.advance(1)
        assert checker.lookup("ALICE").secret_key == "another-secret"

    def test_mended_file_is_taken_over(self, checker, clock, tmp_path):
        (tmp_path / "users").unlink()
        clock.advance(1)
        checker.lookup("ALICE")
        write(tmp_path / "users", "a-new-secret")
        clock.advance(1)
        assert checker.lookup("ALICE").secret_key == "a-new-secret"

    def test_chmod_that_opens_the_file_is_reported(self, checker, clock, tmp_path, logged):
        (tmp_path / "users").chmod(0o644)
        clock.advance(1)
        assert checker.lookup("ALICE") == ALICE
        assert "others can read" in logged()[0]

    def test_reload_reads_at_once_and_says_what_is_wrong(self, checker, tmp_path):
        write(tmp_path / "users", "a-new-secret")
        checker.reload()
        assert checker.lookup("ALICE").secret_key == "a-new-secret"
        (tmp_path / "users").unlink()
        with pytest.raises(ValueError, match="No such file"):
            checker.reload()
        assert checker.lookup("ALICE").secret_key == "a-new-secret"


class TestFactory:
    def test_relative_path_is_of_where_the_daemon_was_started(self, tmp_path, monkeypatch):
        write(tmp_path / "users")
        monkeypatch.chdir(tmp_path)
        checker = ZS3CheckerFactory().generateChecker("users")
        monkeypatch.chdir("/")
        checker.reload()
        assert checker.lookup("ALICE") == ALICE

    @pytest.mark.parametrize(("argument", "message"), [("", "needs a file"), ("/nowhere/users", "/nowhere/users: No")])
    def test_useless_argument_is_refused(self, argument, message):
        with pytest.raises(ValueError, match=message):
            ZS3CheckerFactory().generateChecker(argument)


def test_an_account_is_found_by_its_id_while_a_user_acts_for_it():
    alice = User("ALICE", "secret-key", "reader", None, "alice", "family")
    checker = UsersChecker({"ALICE": alice})
    assert checker.find_account(accounts.canonical_id("family")) == "family"
    assert checker.find_account(accounts.canonical_id(accounts.DEFAULT)) == accounts.DEFAULT, "it owns what others made"
    assert checker.find_account(accounts.canonical_id("others")) is None
    assert checker.find_account("family") is None
