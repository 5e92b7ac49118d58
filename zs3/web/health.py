"""`/-/live` and `/-/ready`: for load balancers and whoever restarts what has died.

Everybody may ask, so nothing is told of the data.  No bucket is called ``-``.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.defer import Deferred
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET

from zs3.errors import S3Error
from zs3.health import Health
from zs3.web.coroutines import begin
from zs3.web.request import Request

LIVE, READY = b"/-/live", b"/-/ready"
#: What a daemon is that is about to end.
STOPPING = "stopping"


class _Health(Resource):
    isLeaf = True
    operation: str

    def render(self, request: IRequest) -> int:
        assert isinstance(request, Request)  # noqa: S101 - for mypy: the site makes no others
        request.log.operation = self.operation
        if request.method not in (b"GET", b"HEAD"):
            raise S3Error("MethodNotAllowed", headers={"Allow": "GET, HEAD"}, Method=request.wire.method)
        begin(self._answer(request))
        return NOT_DONE_YET

    async def _answer(self, request: Request) -> None:
        problem = await self._problem(request)
        if request.gone:
            return
        content = b"%b\n" % (problem or "ok").encode("ascii")
        if problem:
            request.log.error = "ServiceUnavailable"
        headers = {
            "content-type": b"text/plain; charset=utf-8",
            "content-length": b"%d" % len(content),
            "cache-control": b"no-store",
        }
        request.answer(503 if problem else 200, headers, b"" if request.method == b"HEAD" else content)

    async def _problem(self, request: Request) -> str:
        raise NotImplementedError


class _Live(_Health):
    """That there is an answer says it all."""

    operation = "HealthLive"

    async def _problem(self, request: Request) -> str:  # noqa: ARG002
        return ""


class _Ready(_Health):
    operation = "HealthReady"

    def __init__(self, health: Health) -> None:
        super().__init__()
        self._health = health

    async def _problem(self, request: Request) -> str:
        if request.site.is_draining:
            return STOPPING
        found: Deferred[str] = self._health.check().addCallback(lambda report: report.problem)
        return await found


def resources(health: Health) -> Mapping[bytes, IResource]:
    """What answers, by the path as received."""
    return {LIVE: _Live(), READY: _Ready(health)}
