"""Signed requests as credentials of `twisted.cred`, and the checkers that know the users.

Who may log in, no more: how a signature is made is `zs3.auth.sigv4`'s affair,
what a user may do the avatar's.  The keys are in memory, so a login never waits.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IAnonymous, ICredentials
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.strcred import ICheckerFactory
from twisted.logger import Logger
from twisted.plugin import IPlugin
from zope.interface import Attribute, Interface, implementer

from zs3.auth import accounts, users
from zs3.auth.users import User
from zs3.auth.wire import NoClaim
from zs3.errors import S3Error

if TYPE_CHECKING:
    from zs3.auth.wire import Claim, Signer, Wire


class ISignedRequest(ICredentials):
    """A request signed with the secret of an access key."""

    access_key = Attribute("The access key id the request names, a `str`.")

    def check(secret: str) -> bool:
        """Whether the signature was made with `secret`; in constant time."""

    def mismatch() -> S3Error:
        """The error to answer when it was not."""


class IUserDirectory(Interface):
    """Where the users are."""

    def lookup(access_key: str) -> User | None:
        """The user of that access key, as of now; None for a disabled one too."""

    def find_account(identifier: str) -> str | None:
        """The name of the account with that canonical user id, if any user acts for it as of now."""

    def reload() -> None:
        """Read the users again, at once.  `ValueError` if that fails; the users are those of before then."""


class S3LoginFailed(UnauthorizedLogin):
    """A login that failed, and what the client is told.

    :ivar error: the `S3Error` to answer.
    """

    def __init__(self, error: S3Error) -> None:
        super().__init__(error.code)
        self.error = error


@implementer(ISignedRequest)
class SignedRequest:
    """A decoded `Claim` as credentials.

    :ivar signer: what signs the chunks of the body, once `check` was given the right secret.
    """

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.access_key = claim.access_key
        self.signer: Signer | None = None

    def check(self, secret: str) -> bool:
        self.signer = self.claim.check(secret)
        return self.signer is not None

    def mismatch(self) -> S3Error:
        return self.claim.mismatch()


@implementer(IAnonymous)
class UnsignedRequest:
    """A request that nobody signed, as credentials.

    :ivar claim: stands for the one that it does not make.
    :ivar signer: None: there is no secret to sign with.
    """

    signer: Signer | None = None

    def __init__(self, wire: Wire) -> None:
        self.claim: Claim = NoClaim(wire)


@implementer(ICredentialsChecker, IUserDirectory)
class UsersChecker:
    """Knows a fixed set of users.

    :param known: the users by access key.
    """

    credentialInterfaces = (ISignedRequest,)

    def __init__(self, known: Mapping[str, User]) -> None:
        self._users = known
        # Checked in place of an unknown user's secret, so that both refusals cost the same.
        self._nobody = secrets.token_urlsafe(30)

    def lookup(self, access_key: str) -> User | None:
        user = self._users.get(access_key)
        # As on AWS, one that is disabled is refused as one that never was.
        return user if user is not None and user.enabled else None

    def find_account(self, identifier: str) -> str | None:
        names = {accounts.DEFAULT, *(user.account for user in self._users.values())}
        return next((name for name in names if accounts.canonical_id(name) == identifier), None)

    def secret_of(self, user: User | None) -> str:
        """The secret to check a signature with; for an unknown user one that nobody has, so that it costs the same."""
        return self._nobody if user is None else user.secret_key

    def reload(self) -> None:
        """There is nothing to read again."""

    # The interface says Deferred and, in its text, "alternatively, return the result itself".
    def requestAvatarId(self, credentials: Any) -> Any:
        """The access key as bytes.

        :raises S3LoginFailed: with InvalidAccessKeyId, or what `ISignedRequest.mismatch` says.
        """
        user = self.lookup(credentials.access_key)
        matches = credentials.check(self.secret_of(user))
        if user is None:
            raise S3LoginFailed(S3Error("InvalidAccessKeyId", AWSAccessKeyId=credentials.access_key))
        if not matches:
            raise S3LoginFailed(credentials.mismatch())
        return user.access_key.encode("utf-8")


class UsersFileChecker(UsersChecker):
    """Knows the users of a file, and takes over its changes.

    Whether the file is another one (device, inode, size, times) is looked at no more than once a second, when
    somebody logs in: an idle daemon does nothing.  A file that is broken or gone leaves the users as they were and is
    reported once.

    :param path: the users file, absolute.  It is first read by `reload`; until then there is no user.
    :param now: seconds on a clock that never goes back.
    :param private: nobody else may be able to write to the file's directory either.
    """

    _log = Logger()

    def __init__(self, path: str, now: Callable[[], float] = time.monotonic, *, private: bool = False) -> None:
        super().__init__({})
        self.path = path
        self._private = private
        self._reported = ""
        self._now = now
        self._looked = now()
        self._seen: tuple[int, ...] = ()

    def lookup(self, access_key: str) -> User | None:
        if self._now() - self._looked >= 1:
            self._looked = self._now()
            if self._state() != self._seen:
                self._refresh()
        return super().lookup(access_key)

    def reload(self) -> None:
        # The state first: a change while the file is being read is then seen the next time.
        self._looked, state = self._now(), self._state()
        try:
            self._users = users.load(self.path, private=self._private)
        except users.UnreadableError:
            # Perhaps only now (too many open files): a key that was taken away must not stay for that.
            raise
        except ValueError:
            self._seen = state
            raise
        self._seen, self._reported = state, ""

    def _refresh(self) -> None:
        try:
            self.reload()
        except ValueError as error:
            if str(error) != self._reported:
                self._reported = str(error)
                self._log.error("{error}; the users stay those of before", error=error)
        else:
            self._log.info("{path}: read again, {count} user(s)", path=self.path, count=len(self._users))

    def _state(self) -> tuple[int, ...]:
        try:
            status = os.stat(self.path)
        except OSError:
            return ()
        # ctime: so that a chmod which mends or breaks the file counts as a change
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@implementer(ICheckerFactory, IPlugin)
class ZS3CheckerFactory:
    """Makes `--auth zs3:FILE` of twistd's command line a checker."""

    authType = "zs3"
    authHelp = """
The users of a TOML file, which only its owner may be able to read (chmod 600).
Every user is a table:

    [users.alice]
    access_key = "ALICE"
    secret_key = "at-least-eight-characters"
    role = "writer"                 # admin, writer or reader
    buckets = ["photos", "music"]   # optional: no others
    account = "family"              # optional: what owns the buckets; "default" if left out
    policies = ["home"]             # optional: tables [policies.NAME] that say what is allowed

`zs3 user` edits it and makes the keys. A changed file is taken over without a restart.
"""
    argStringFormat = "The TOML file of the users."
    credentialInterfaces = (ISignedRequest,)

    def generateChecker(self, argstring: str) -> UsersFileChecker:
        """The checker of the users file `argstring`, which is relative to where the daemon was started.

        :raises ValueError: if the file cannot be read or is wrong; the message names it.
        """
        if not argstring:
            raise ValueError("it needs a file: zs3:FILE")
        checker = UsersFileChecker(os.path.abspath(argstring))
        checker.reload()
        return checker
