"""The tree of resources that a user, or nobody, sees: the service, buckets, objects.

Finds the operation, asks whether the request may do it, runs the handler and answers its
errors.  An object is one leaf, whatever slashes are in its key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.cred.checkers import ANONYMOUS
from twisted.cred.portal import IRealm
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import Interface, implementer

from zs3.auth.access import CREATE_BUCKET, Principal
from zs3.auth.credentials import IUserDirectory, S3LoginFailed, SignedRequest, UnsignedRequest
from zs3.errors import S3Error
from zs3.store.values import DeleteMarkerError
from zs3.web import names, operations
from zs3.web.authorize import Denied, JudgedStore, own_gate
from zs3.web.call import Call, Settings, effective_wire
from zs3.web.coroutines import begin
from zs3.web.request import Request
from zs3.web.responses import send_error
from zs3.web.sites import Site
from zs3.web.versions import PARAMETER as VERSION
from zs3.web.versions import about_marker, check_version

#: Conditions of writes on what must be there.
_COMPARING = ("if-match", "x-amz-if-match-last-modified-time", "x-amz-if-match-size")


@dataclass(frozen=True, slots=True)
class Session:
    """What the guard hands to the realm beside the avatar's name: cred's `mind`.

    :ivar host_bucket: the bucket that the host names (virtual-hosted style), or None.
    :ivar website: whether the host is one of websites.
    """

    credentials: SignedRequest | UnsignedRequest
    settings: Settings
    host_bucket: str | None
    website: bool = False


@implementer(IRealm)
class Realm:
    """Gives every user, and nobody, the tree of resources.

    :param store: an `IStore`.
    """

    def __init__(self, store: Any, users: IUserDirectory) -> None:
        self.store = store
        self.users = users

    def requestAvatar(
        self, avatarId: bytes | tuple[()], mind: object, *interfaces: type[Interface]
    ) -> tuple[type[Interface], object, Callable[[], None]]:
        """The root of the tree for the user with that access key, or for nobody.

        :raises S3LoginFailed: there is no such user any more.
        """
        if IResource not in interfaces or not isinstance(mind, Session):
            raise NotImplementedError("only a Session can log in, for IResource")
        user = None
        if avatarId is not ANONYMOUS:
            user = self.users.lookup(bytes(avatarId).decode("utf-8"))
            if user is None:
                raise S3LoginFailed(S3Error("InvalidAccessKeyId"))
        return IResource, self.root(Principal(user), mind), lambda: None

    def root(self, principal: Principal, session: Session) -> IResource:
        """The root of the tree for one request."""
        return Site(self, principal, session) if session.website else Root(self, principal, session)


class _S3Resource(Resource):
    """What the three levels share: from a request to its operation."""

    level: str

    def __init__(self, realm: Realm, principal: Principal, session: Session, bucket: str = "", key: str = "") -> None:
        super().__init__()
        self._realm, self._principal, self._session = realm, principal, session
        self._bucket, self._key = bucket, key

    def render(self, request: IRequest) -> int:
        """Serve it, later.  A handler is not cancelled when its client goes: what waits for the client fails by
        itself then, and what the store has begun comes to its end.
        """
        assert isinstance(request, Request)  # noqa: S101 - for mypy: the site makes no others
        request.log.bucket, request.log.key = self._bucket, self._key
        begin(self._serve(request))
        return NOT_DONE_YET

    async def _serve(self, request: Request) -> None:
        try:
            await self._run(request)
        except S3Error as error:
            if isinstance(error, Denied):
                request.log.reason = error.reason
            send_error(request, error)
        except Exception:
            send_error(request, Failure())

    async def _run(self, request: Request) -> None:
        credentials, settings = self._session.credentials, self._session.settings
        wire = effective_wire(request.wire, credentials.claim, request.query.pairs)
        call = Call(
            request,
            self._realm.store,
            own_gate(self._principal, self._bucket, settings.ownership),
            self._realm.users,
            credentials.claim,
            credentials.signer,
            settings,
            wire,
            self._bucket,
            self._key,
            request.values if wire is request.wire else None,
        )
        operation = operations.find(self.level, request.wire.method, request.query.pairs, call.header)
        request.log.operation = operation.name
        version = call.parameter(VERSION) if VERSION in operation.parameters else None
        if self._bucket and operation.iam != CREATE_BUCKET:
            call.gate = await call.gate_to(self._bucket, self._key, operation.iam, version or "")
            # From here on it is about this bucket, whichever has its name by the time that a body has come.
            call.bucket = call.gate.name
        else:
            call.inform(call.gate)
        call.store = call.gate.store_for(operation.iam, call.store)
        if self._key:
            names.check_key(self._key)
        if version is not None:
            check_version(version)
        try:
            if operation.access == operations.WRITE:
                await self._check_write(call, operation)
            await operation.handler(call)
        except DeleteMarkerError as error:
            raise about_marker(error, request.wire.method, operation.query) from None

    async def _check_write(self, call: Call, operation: operations.Operation) -> None:
        """What the body of a request need not be waited for."""
        if isinstance(call.store, JudgedStore) and not call.gate.waits_for_body(operation.iam):
            # It is judged again when it is changed.
            await call.store.get_object_info(self._bucket, self._key, call.version)
        if any(call.header(name) is not None for name in _COMPARING) or call.header("if-none-match") not in (None, "*"):
            # Whether they hold tells what is there.
            call.gate.check_knowing(self._key)


class Root(_S3Resource):
    """``/``: its children are the buckets, or, where the host names one, that bucket's objects."""

    level = operations.SERVICE

    def getChild(self, path: bytes, request: Request) -> Resource:
        names.check_escapes(request.raw_path)
        bucket = self._session.host_bucket
        if request.control:
            request.postpath = []
            return AccountResource(self._realm, self._principal, self._session)
        if bucket is not None:
            # All of the path is the key: give the segment back.
            request.postpath = [path, *(request.postpath or ())]
            return BucketResource(self._realm, self._principal, self._session, bucket)
        if not path and not request.postpath:
            return self
        if not path:
            raise S3Error("InvalidBucketName", BucketName="")
        return BucketResource(self._realm, self._principal, self._session, names.decode_path(path))


class AccountResource(_S3Resource):
    """What counts for all that the account of the user has."""

    level = operations.ACCOUNT
    isLeaf = True


class BucketResource(_S3Resource):
    """``/bucket`` and ``/bucket/``; all below is one object."""

    level = operations.BUCKET

    def render(self, request: IRequest) -> int:
        """As for every resource; but a form names its key itself."""
        assert isinstance(request, Request)  # noqa: S101 - for mypy: the site makes no others
        if request.form is not None:
            self._key = request.form.key
        return super().render(request)

    def getChild(self, path: bytes, request: Request) -> Resource:
        if not path and not request.postpath:
            return self
        key = names.decode_path(b"/".join([path, *(request.postpath or ())]))
        return ObjectResource(self._realm, self._principal, self._session, self._bucket, key)


class ObjectResource(_S3Resource):
    """``/bucket/key``."""

    level = operations.OBJECT
    isLeaf = True
