"""Requests of pages of another origin, and the operations that configure which of them are welcome.

A preflight is answered here, whoever sends it: browsers sign none.  Of all other
requests with an Origin it is found out what every answer to them must say, and
then they go their ordinary way.  CORS lets nobody do what he may not do anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET

from zs3.errors import S3Error
from zs3.store.values import NOT_CONFIGURED, Configuration
from zs3.web import cors, names
from zs3.web.bodies import CONFIGURATION_SIZE
from zs3.web.call import Call
from zs3.web.headers import check_bucket_owner
from zs3.web.request import Request
from zs3.web.responses import send_empty, send_xml

# Requests ------------------------------------------------------------------------------------------------------------


def is_cross_origin(request: Request) -> bool:
    """Whether CORS has a say in what is answered."""
    return b"origin" in request.values or request.method == b"OPTIONS"


def serve(
    request: Request, store: Any, host_bucket: str | None, proceed: Callable[[], IResource]
) -> Deferred[IResource]:
    """Fires with the resource for such a request: at once, where the store knows the bucket's configuration at once.

    :param store: an `IStore`.
    :param host_bucket: the bucket that the host names, or None; the path of `request` is whole.
    :param proceed: gives the resource where the request is no preflight.
    :raises S3Error: a preflight that is refused, and what `proceed` raises; most of it as a failure.
    """
    bucket, key = _target(request, host_bucket)
    if request.method == b"OPTIONS":
        request.log.operation, request.log.bucket, request.log.key = "Preflight", bucket, key
        if not request.header("origin"):
            raise S3Error("BadRequest", "Insufficient information. Origin request header needed.")

    def decide(configuration: Configuration) -> IResource:
        if request.method == b"OPTIONS":
            return _Allowed(_preflight(request, configuration, "OBJECT" if key else "BUCKET"))
        allow(request, configuration)
        return proceed()

    found: Deferred[Configuration] = store.get_configuration(bucket) if bucket else succeed(NOT_CONFIGURED)
    return found.addErrback(_not_configured).addCallback(decide)


def allow(request: Request, configuration: Configuration) -> None:
    """Let every answer to a request say what the rules of the bucket allow its page."""
    request.standing_headers = cors.allow(cors.rules_of(configuration), _question(request)) or {}


def _not_configured(failure: Failure) -> Configuration:
    """Whether there is such a bucket is not for everybody to know."""
    failure.trap(S3Error)
    return NOT_CONFIGURED


def _target(request: Request, host_bucket: str | None) -> tuple[str, str]:
    """The bucket and the key that a request is about, "" for none."""
    segments = list(request.postpath or ())
    bucket = host_bucket
    if bucket is None:
        bucket = names.decode_path(segments.pop(0))
    return bucket, names.decode_path(b"/".join(segments))


def _question(request: Request) -> cors.Question | None:
    return cors.ask(
        request.header("origin") or "",
        request.wire.method,
        request.header("access-control-request-method"),
        request.header("access-control-request-headers"),
    )


def _preflight(request: Request, configuration: Configuration, resource_type: str) -> dict[str, bytes]:
    """The headers that allow what a preflight asks for.

    :raises S3Error: AccessForbidden, BadRequest.
    """
    rules = list(cors.rules_of(configuration))
    method = request.header("access-control-request-method")
    if not rules:
        raise S3Error(
            "AccessForbidden",
            "CORSResponse: CORS is not enabled for this bucket.",
            Method=method or "OPTIONS",
            ResourceType="BUCKET",
        )
    if method not in cors.METHODS:
        raise S3Error("BadRequest", f"Invalid Access-Control-Request-Method: {method or 'null'}")
    headers = cors.allow(rules, _question(request))
    if headers is None:
        raise S3Error(
            "AccessForbidden",
            "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request"
            " method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the"
            " resource's CORS spec.",
            Method=method,
            ResourceType=resource_type,
        )
    return headers


class _Allowed(Resource):
    """The answer to a preflight that is granted."""

    isLeaf = True

    def __init__(self, headers: dict[str, bytes]) -> None:
        super().__init__()
        self._headers = headers

    def render(self, request: IRequest) -> int:
        assert isinstance(request, Request)  # noqa: S101 - for mypy: the site makes no others
        send_empty(request, 200, self._headers)
        return NOT_DONE_YET


# Operations ----------------------------------------------------------------------------------------------------------


async def put_bucket_cors(call: Call) -> None:
    """PutBucketCors: replaces all rules that there were."""
    check_bucket_owner(call.header, call.owner.id)
    rules = cors.parse(await call.read_document(CONFIGURATION_SIZE))
    await call.store.change_configuration(call.bucket, lambda configured: cors.set_rules(configured, rules))
    send_empty(call.request, 200)


async def get_bucket_cors(call: Call) -> None:
    """GetBucketCors."""
    check_bucket_owner(call.header, call.owner.id)
    rules = list(cors.rules_of(await call.store.get_configuration(call.bucket)))
    if not rules:
        raise S3Error("NoSuchCORSConfiguration", BucketName=call.bucket)
    send_xml(call.request, cors.document(rules))


async def delete_bucket_cors(call: Call) -> None:
    """DeleteBucketCors: no error where there are no rules."""
    check_bucket_owner(call.header, call.owner.id)
    await call.store.change_configuration(call.bucket, lambda configured: cors.set_rules(configured, ()))
    send_empty(call.request, 204)
