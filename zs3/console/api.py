"""What the page needs beside S3: who is signed in, the users and their keys, and the disk.  In JSON.

Requests are signed as those for S3 are, in their headers.  Users are looked after by
administrators, each those of the own account: another account's are nobody's here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET

import zs3
from zs3.auth import accounts, useradmin
from zs3.auth.access import Principal
from zs3.auth.users import User
from zs3.console.origins import is_private
from zs3.errors import S3Error
from zs3.web.authorize import Denied, own_gate
from zs3.web.call import Call
from zs3.web.coroutines import begin
from zs3.web.request import Request
from zs3.web.resources import Realm, Session
from zs3.web.responses import begin_error, send_empty, send_json

#: The most bytes that a document of the page has.
_DOCUMENT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the API knows of the daemon.

    :ivar hop: runs a function in a thread; fires with its result.
    :ivar users_file: that of the users, if they are in one; None else.
    :ivar s3_url: the origin at which the client of a request reaches S3; None if that is not known.
    :ivar disk: how full the disk is, and how it is.
    """

    hop: Callable[..., Deferred[Any]]
    users_file: str | None
    s3_url: Callable[[Request], str | None]
    disk: Callable[[], Awaitable[Mapping[str, object]]]


class ConsoleRealm(Realm):
    """Gives every user the API, and nobody an error."""

    def __init__(self, store: Any, users: Any, surroundings: Surroundings) -> None:
        super().__init__(store, users)
        self._surroundings = surroundings

    def root(self, principal: Principal, session: Session) -> IResource:
        """The API for one request."""
        return _Api(self, principal, session, self._surroundings)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request of the page.

    :ivar user: who signed it.
    :ivar names: what the path names: a user, a key.
    """

    call: Call
    user: User
    around: Surroundings
    names: tuple[str, ...]

    async def document(self) -> dict[str, Any]:
        """The JSON object in the body.

        :raises S3Error: it is none.
        """
        try:
            document = json.loads(await self.call.read_document(_DOCUMENT))
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise S3Error("InvalidRequest", "A JSON object is needed.")
        return document

    async def change(self, f: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        """Change the users file, by a function of `zs3.auth.useradmin`, and know the result at once."""
        path = self.users_file
        # The body may have come long after the head, and somebody may have taken the right away meanwhile.
        if self.call.users.lookup(self.user.access_key) != self.user:
            raise Denied("the user is not what it was")
        try:
            result = await self.around.hop(f, path, *arguments, **more)
            await self.around.hop(self.call.users.reload)
        except ValueError as error:
            # Of where the file is, the page need not know.
            raise S3Error("InvalidRequest", str(error).removeprefix(f"{path}: ")) from None
        except PermissionError:
            raise S3Error("AccessDenied", _READ_ONLY) from None
        return result

    @property
    def users_file(self) -> str:
        """The users file.

        :raises S3Error: there is none.
        """
        if self.around.users_file is None:
            raise S3Error("AccessDenied", "The users are not in a file that the daemon knows.")
        return self.around.users_file

    def check_entry(self, entry: Mapping[str, Any]) -> None:
        """Another account's users are as if they were not there.

        :raises ValueError: it is one of those.
        """
        if useradmin.account_of(entry) != self.user.account:
            raise ValueError(f"there is no user {self.names[0]!r}")


def _writable(path: str) -> bool:
    """Whether the users file can be changed: another takes its place."""
    return os.access(path, os.W_OK) and os.access(os.path.dirname(os.path.realpath(path)), os.W_OK)


_NOT_PRIVATE = "A new secret is shown only over TLS, or on the machine itself. There is the command zs3 user."
_READ_ONLY = "The users file may not be changed by the daemon: use the command zs3 user."

Handler = Callable[[_Asked], Awaitable[tuple[int, object]]]


# What everybody may do ----------------------------------------------------------------------------------------------


async def _get_session(asked: _Asked) -> tuple[int, object]:
    user, call = asked.user, asked.call
    file = asked.around.users_file
    return 200, {
        "user": user.name,
        "access_key": user.access_key,
        "admin": _is_admin(user),
        "role": user.role,
        "account": user.account,
        "account_id": accounts.account_id(user.account),
        "region": call.settings.region_name,
        "s3_url": asked.around.s3_url(call.request),
        "users": "none" if file is None else "writable" if await asked.around.hop(_writable, file) else "read-only",
        "version": zs3.__version__,
    }


# What administrators may do ------------------------------------------------------------------------------------------


async def _get_disk(asked: _Asked) -> tuple[int, object]:
    return 200, await asked.around.disk()


async def _list_users(asked: _Asked) -> tuple[int, object]:
    path = asked.users_file
    found = await asked.around.hop(useradmin.describe_users, path)
    return 200, {
        "writable": await asked.around.hop(_writable, path),
        "secure": is_private(asked.call.request),
        "policies": await asked.around.hop(useradmin.policy_names, path),
        "users": [each for each in found if each["account"] == asked.user.account],
    }


async def _create_user(asked: _Asked) -> tuple[int, object]:
    _check_private(asked)
    document = await asked.document()
    name = document.pop("name", None)
    account = document.pop("account", asked.user.account)
    if (
        not isinstance(name, str)
        or not document.keys() <= {"role", "policies", "buckets"}
        or not isinstance(document.get("role"), str | None)
        or not all(_are_names(document.get(each)) for each in ("policies", "buckets"))
    ):
        raise S3Error("InvalidRequest", "A user has a name, and a role, policies and buckets.")
    if account != asked.user.account:
        raise Denied("a user of another account")
    if account != accounts.DEFAULT:
        document["account"] = account
    for each in ("policies", "buckets"):
        if document.get(each, []) is None:
            del document[each]
    if document.get("role", "") is None:
        del document["role"]
    asked.call.request.log.key = name
    pair = await asked.change(useradmin.add_user, name, document)
    return 201, {"name": name, "access_key": pair["access_key"], "secret_key": pair["secret_key"]}


def _are_names(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(each, str) for each in value))


async def _update_user(asked: _Asked) -> tuple[int, object]:
    enabled = await _enabled(asked)
    if not enabled:
        _check_other_user(asked)
    await asked.change(useradmin.set_enabled, asked.names[0], enabled, check=asked.check_entry)
    return 204, None


async def _delete_user(asked: _Asked) -> tuple[int, object]:
    _check_other_user(asked)
    await asked.change(useradmin.remove_user, asked.names[0], check=asked.check_entry)
    return 204, None


async def _create_key(asked: _Asked) -> tuple[int, object]:
    _check_private(asked)
    pair, _ = await asked.change(useradmin.add_key, asked.names[0], check=asked.check_entry)
    return 201, {"access_key": pair["access_key"], "secret_key": pair["secret_key"]}


async def _update_key(asked: _Asked) -> tuple[int, object]:
    enabled = await _enabled(asked)
    if not enabled:
        _check_other_key(asked)
    await asked.change(useradmin.set_enabled, asked.names[0], enabled, asked.names[1], check=asked.check_entry)
    return 204, None


async def _delete_key(asked: _Asked) -> tuple[int, object]:
    _check_other_key(asked)
    await asked.change(useradmin.remove_key, *asked.names, check=asked.check_entry)
    return 204, None


async def _enabled(asked: _Asked) -> bool:
    document = await asked.document()
    enabled = document.get("enabled")
    if document.keys() != {"enabled"} or not isinstance(enabled, bool):
        raise S3Error("InvalidRequest", "enabled must be true or false, and nothing else can be changed.")
    return enabled


def _check_private(asked: _Asked) -> None:
    if not is_private(asked.call.request):
        raise S3Error("AccessDenied", _NOT_PRIVATE)


def _check_other_user(asked: _Asked) -> None:
    if asked.names[0] == asked.user.name:
        raise S3Error("InvalidRequest", "Nobody takes the own access away here.")


def _check_other_key(asked: _Asked) -> None:
    if asked.names[1] == asked.user.access_key:
        raise S3Error("InvalidRequest", "Nobody takes the own access away here.")


# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Operation:
    """An operation of the API.

    :ivar name: in IAM's words, where it has them; for the access log.
    :ivar path: below `zs3.console.resources.API_PREFIX`.
    :ivar for_all: whether it is for others than administrators, too.
    """

    name: str
    method: str
    path: re.Pattern[str]
    handler: Handler
    for_all: bool = False


_USERS, _USER = "api/users", "api/users/([^/]+)"
_KEYS, _KEY = f"{_USER}/keys", f"{_USER}/keys/([^/]+)"

_OPERATIONS = [
    _Operation(name, method, re.compile(path), handler, for_all)
    for name, method, path, handler, for_all in (
        ("GetConsoleSession", "GET", "api/session", _get_session, True),
        ("GetDiskUse", "GET", "api/disk", _get_disk, False),
        ("ListUsers", "GET", _USERS, _list_users, False),
        ("CreateUser", "POST", _USERS, _create_user, False),
        ("UpdateUser", "PUT", _USER, _update_user, False),
        ("DeleteUser", "DELETE", _USER, _delete_user, False),
        ("CreateAccessKey", "POST", _KEYS, _create_key, False),
        ("UpdateAccessKey", "PUT", _KEY, _update_key, False),
        ("DeleteAccessKey", "DELETE", _KEY, _delete_key, False),
    )
]


def _is_admin(user: User) -> bool:
    """One who may do everything: a user that policies limit must not make one that they do not."""
    return user.role == "admin" and user.policy is None and user.buckets is None


class _Api(Resource):
    """The API, as one user sees it."""

    isLeaf = True

    def __init__(self, realm: Realm, principal: Principal, session: Session, surroundings: Surroundings) -> None:
        super().__init__()
        self._realm, self._principal, self._session, self._around = realm, principal, session, surroundings

    def render(self, request: IRequest) -> int:
        """Serve it, later."""
        assert isinstance(request, Request)  # noqa: S101 - for mypy: the site makes no others
        begin(self._serve(request))
        return NOT_DONE_YET

    async def _serve(self, request: Request) -> None:
        try:
            status, answer = await self._run(request)
        except Exception as error:
            if isinstance(error, Denied):
                request.log.reason = error.reason
            reason = begin_error(request, error if isinstance(error, S3Error) else Failure())
            if reason is not None:
                document = json.dumps({"code": reason.code, "message": reason.message})
                send_json(request, document.encode("ascii"), reason.status, reason.headers)
            return
        if answer is None:
            send_empty(request, status)
        else:
            send_json(request, json.dumps(answer).encode("ascii"), status)

    async def _run(self, request: Request) -> tuple[int, object]:
        path = b"/".join((request.postpath or [])[1:]).decode("utf-8", "surrogateescape")
        found = {each.method: (each, match.groups()) for each in _OPERATIONS if (match := each.path.fullmatch(path))}
        if not found:
            raise S3Error("InvalidRequest", "There is no such thing.")
        if request.wire.method not in found:
            raise S3Error("MethodNotAllowed", headers={"Allow": ", ".join(found)}, Method=request.wire.method)
        operation, names = found[request.wire.method]
        request.log.operation, request.log.key = operation.name, names[0] if names else ""
        user = self._principal.user
        if user is None or self._session.credentials.claim.kind != "header":
            raise Denied("it is not signed in its headers")
        if not operation.for_all and not _is_admin(user):
            raise Denied("the user is no administrator")
        credentials, settings = self._session.credentials, self._session.settings
        call = Call(
            request,
            self._realm.store,
            own_gate(self._principal, "", settings.ownership),
            self._realm.users,
            credentials.claim,
            credentials.signer,
            settings,
            request.wire,
        )
        return await operation.handler(_Asked(call, user, self._around, names))
