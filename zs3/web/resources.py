"""What an authenticated user sees: the service, buckets, objects.

Finds the operation, asks whether the user may, runs the handler and answers its
errors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from twisted.cred.portal import IRealm
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.server import NOT_DONE_YET
from zope.interface import Interface, implementer

from zs3.auth.credentials import IUserDirectory, S3LoginFailed, SignedRequest
from zs3.auth.users import User
from zs3.errors import S3Error
from zs3.web import names, operations
from zs3.web.call import Call, Settings, effective_wire
from zs3.web.coroutines import begin
from zs3.web.request import Request
from zs3.web.responses import send_error


@dataclass(frozen=True, slots=True)
class Session:
    """What the guard hands to the realm beside the avatar's name: cred's `mind`.

    :ivar host_bucket: the bucket that the host names (virtual-hosted style), or None.
    """

    credentials: SignedRequest
    settings: Settings
    host_bucket: str | None


@implementer(IRealm)
class Realm:
    """Gives every user the tree of resources.

    :ivar store: an `IStore`.
    """

    def __init__(self, store: Any, users: IUserDirectory) -> None:
        self.store = store
        self.users = users

    def requestAvatar(
        self, avatarId: bytes | tuple[()], mind: object, *interfaces: type[Interface]
    ) -> tuple[type[Interface], object, Callable[[], None]]:
        """The root of the tree for the user with that access key.  S3LoginFailed if there is none any more."""
        if IResource not in interfaces or not isinstance(mind, Session):
            raise NotImplementedError("only a Session can log in, for IResource")
        user = self.users.lookup(bytes(avatarId).decode("utf-8"))
        if user is None:
            raise S3LoginFailed(S3Error("InvalidAccessKeyId"))
        return IResource, Root(self.store, user, mind), lambda: None


@implementer(IResource)
class Root:
    """All that a user sees, as one leaf: the service, buckets and objects, told apart by the path.

    ``/`` is the service, or, where the host names one, a bucket; ``/bucket`` and ``/bucket/`` are a bucket; all below
    is one object, whatever slashes are in its key.
    """

    isLeaf = True

    def __init__(self, store: Any, user: User, session: Session) -> None:
        self._store, self._user, self._session = store, user, session

    def getChildWithDefault(self, name: bytes, request: IRequest) -> NoReturn:
        """Not reached: it is a leaf."""
        raise NotImplementedError("the tree of a user is one leaf")

    def putChild(self, path: bytes, child: IResource) -> NoReturn:
        """There is nothing beside the buckets."""
        raise NotImplementedError("the tree of a user is one leaf")

    def render(self, request: IRequest) -> int:
        """Serve it, now or later.  A handler is not cancelled when its client goes: what waits for the client fails
        by itself then, and what the store has begun comes to its end.
        """
        assert isinstance(request, Request)  # noqa: S101 - for mypy: the site makes no others
        level, bucket, key = self._find(request)
        request.log.bucket, request.log.key = bucket, key
        begin(self._serve(request, level, bucket, key))
        return NOT_DONE_YET

    def _find(self, request: Request) -> tuple[str, str, str]:
        """The level of the operation, the bucket and the key, "" where there is none.

        :raises S3Error: InvalidURI, InvalidBucketName.
        """
        names.check_escapes(request.raw_path)
        segments = request.postpath or []
        bucket = self._session.host_bucket
        if bucket is None:
            first, *segments = segments
            if not first and not segments:
                return operations.SERVICE, "", ""
            if not first:
                raise S3Error("InvalidBucketName", BucketName="")
            bucket = names.decode_path(first)
        if not segments or segments == [b""]:
            return operations.BUCKET, bucket, ""
        return operations.OBJECT, bucket, names.decode_path(b"/".join(segments))

    async def _serve(self, request: Request, level: str, bucket: str, key: str) -> None:
        try:
            await self._run(request, level, bucket, key)
        except S3Error as error:
            send_error(request, error)
        except Exception:
            send_error(request, Failure())

    async def _run(self, request: Request, level: str, bucket: str, key: str) -> None:
        credentials = self._session.credentials
        wire = effective_wire(request.wire, credentials.claim, request.query.pairs)
        call = Call(
            request,
            self._store,
            self._user,
            credentials.claim,
            credentials.signer,
            self._session.settings,
            wire,
            bucket,
            key,
            request.values if wire is request.wire else None,
        )
        operation = operations.find(level, request.wire.method, request.query.pairs, call.header)
        request.log.operation = operation.name
        if not self._user.may(operation.access, bucket or None):
            raise S3Error("AccessDenied")
        if key:
            names.check_key(key)
        await operation.handler(call)
