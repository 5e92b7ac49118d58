"""The site of `--metrics`: `/metrics`, and the health of the daemon beside it; nothing else.

Source: Prometheus, "Exposition formats"; what a scraper may ask for is for prometheus_client to know.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder, gzip_accepted
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET

from zs3.errors import S3Error
from zs3.health import Health
from zs3.metrics.collectors import LookedUp
from zs3.web import health as health_resources
from zs3.web.coroutines import begin
from zs3.web.request import Request
from zs3.web.responses import send_error
from zs3.web.site import Site

#: Of scrapers and those who look after the daemon, who are few.
_MOST_CONNECTIONS = 100
#: (function) -> its result, later, from a thread
Hop = Callable[..., Any]


class MetricsSite(Site):
    """Serves the metrics.

    :param registry: what is told.
    """

    def __init__(self, reactor: Any, registry: CollectorRegistry, looked_up: LookedUp, health: Health) -> None:
        # Not the threads of the store: when all of those are stuck is when somebody wants to know.
        def hop(function: Callable[[], Any]) -> Any:
            return deferToThreadPool(reactor, reactor.getThreadPool(), function)

        root = MetricsRoot(registry, looked_up, health, hop)
        super().__init__(root, clock=reactor, max_connections=_MOST_CONNECTIONS)

    def common_headers(self, request_id: str, *, nosniff: bool = True) -> bytes:  # noqa: ARG002 - no S3 here
        """The header lines of every response."""
        date = http.datetimeToString(self.reactor.seconds())
        return b"Server: zs3-metrics\r\nDate: %b\r\nX-Content-Type-Options: nosniff\r\n" % date


class MetricsRoot(Resource):
    """All paths of the site.

    :param hop: runs a function in a thread.
    """

    isLeaf = True

    def __init__(self, registry: CollectorRegistry, looked_up: LookedUp, health: Health, hop: Hop) -> None:
        super().__init__()
        self._registry, self._looked_up, self._health, self._hop = registry, looked_up, health, hop
        self._others: Mapping[bytes, IResource] = health_resources.resources(health)

    def render(self, request: IRequest) -> int:
        assert isinstance(request, Request)  # noqa: S101 - for mypy: the site makes no others
        other = self._others.get(request.raw_path)
        if other is not None:
            found: int = other.render(request)
            return found
        if request.raw_path != b"/metrics":
            _send(request, 404, {"content-type": b"text/plain; charset=utf-8"}, b"The metrics are at /metrics\n")
        elif request.method not in (b"GET", b"HEAD"):
            raise S3Error("MethodNotAllowed", headers={"Allow": "GET, HEAD"}, Method=request.wire.method)
        else:
            begin(self._tell(request))
        return NOT_DONE_YET

    async def _tell(self, request: Request) -> None:
        try:
            self._looked_up.report = await self._health.check()
            encode, content_type = _encoder(request.header("accept") or "")
            content = await self._hop(lambda: encode(self._registry))
            headers = {"content-type": content_type.encode("ascii"), "vary": b"Accept, Accept-Encoding"}
            if gzip_accepted(request.header("accept-encoding") or ""):
                content = await self._hop(lambda: gzip.compress(content, 6))
                headers["content-encoding"] = b"gzip"
            _send(request, 200, headers, content)
        except Exception:
            send_error(request, Failure())


def _encoder(accept: str) -> tuple[Callable[[CollectorRegistry], bytes], str]:
    try:
        return choose_encoder(accept)
    except TypeError:
        # prometheus_client 0.26 fails where the version that is asked for is no number.
        return choose_encoder("")


def _send(request: Request, status: int, headers: Mapping[str, bytes], content: bytes) -> None:
    if not request.gone:
        lines = {**headers, "content-length": b"%d" % len(content), "cache-control": b"no-store"}
        request.answer(status, lines, b"" if request.method == b"HEAD" else content)
