"""The tree of the console's origin: the page itself, and behind a header what the page asks for.

A browser can navigate to the files of the page and to nothing else here.  S3, and
what `zs3.console.api` has, is there only for requests with a header of ours, which
no link, form, image or page of another origin can send; so no object is ever
rendered on this origin, where a script in it could do what the page can do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NoReturn

from twisted.web.iweb import IRequest
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from zs3.console.files import INDEX, File
from zs3.errors import S3Error
from zs3.web.request import Request

#: The header of the requests that the page makes.
HEADER = "x-zs3-console"
#: Where what is not S3 begins: no bucket can be called so.
API_PREFIX = b"/-/"

#: Of every answer that is no file of the page.  Should it be shown after all, then as nobody's and without scripts.
_NOT_THE_PAGE = {
    "content-security-policy": b"default-src 'none'; sandbox; frame-ancestors 'none'",
    "cache-control": b"no-store",
    "cross-origin-resource-policy": b"same-origin",
    "vary": HEADER.encode("ascii"),
}
#: Of the page.  What it shows of objects comes from the origin of S3, see `page_policy`.
_PAGE = {
    "cross-origin-opener-policy": b"same-origin",
    "cross-origin-resource-policy": b"same-origin",
    "referrer-policy": b"no-referrer",
    "vary": b"accept-encoding, " + HEADER.encode("ascii"),
}
_ACCEPTS_GZIP = re.compile(r"(?:^|[,\s])gzip\s*(?:;\s*q=(?:1|0?\.\d*[1-9])\d*)?\s*(?:,|$)", re.ASCII).search


def page_policy(s3_url: str | None) -> bytes:
    """The Content-Security-Policy of the page.

    :param s3_url: the origin that images, audio and video come from; None for no such.
    """
    media = s3_url or "'none'"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; connect-src 'self';"
        f" worker-src 'self'; manifest-src 'self'; img-src 'self' {s3_url or ''}; media-src {media};"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script';"
        " trusted-types zs3-xml"
    ).encode("ascii")


@implementer(IResource)
class Console:
    """The root of the console's tree.

    :param s3: what serves S3 here: a guard that knows no other origins, and finds buckets in the path alone.
    :param api: what serves the paths below `API_PREFIX`.
    :param files: the page, see `zs3.console.files.read_files`.
    :param s3_url: the origin at which the client of a request reaches S3; None if that is not known.
    """

    isLeaf = False

    def __init__(
        self, s3: IResource, api: IResource, files: Mapping[str, File], s3_url: Callable[[Request], str | None]
    ) -> None:
        self._s3, self._api, self._page = s3, api, _Page(files, s3_url)

    def putChild(self, path: bytes, child: IResource) -> NoReturn:
        """All there is, is there."""
        raise NotImplementedError("Console has no children of its own")

    def render(self, request: IRequest) -> NoReturn:
        """Not reached: every path has a segment, if only an empty one."""
        raise S3Error("MethodNotAllowed", Method=request.method.decode("ascii"))

    def getChildWithDefault(self, path: bytes, request: IRequest) -> IResource:
        """The page, or the root of what it asks for.

        :raises S3Error: another page asks.
        """
        assert isinstance(request, Request)  # noqa: S101 - for mypy: the site makes no others
        request.standing_headers = _NOT_THE_PAGE
        if request.header(HEADER) is None:
            return self._page
        _check_origin(request)
        root = self._api if request.raw_path.startswith(API_PREFIX) else self._s3
        return IResource(root.getChildWithDefault(path, request))


def _check_origin(request: Request) -> None:
    """Browsers let no page of another origin send the header; who does all the same is refused."""
    origin = request.header("origin")
    # Of the scheme a proxy that does TLS says nothing.
    if origin is not None and origin.partition("://")[2].lower() != (request.header("host") or "").lower():
        raise S3Error("AccessDenied", "The console serves its own page alone.")
    if request.header("sec-fetch-site") not in (None, "same-origin"):
        raise S3Error("AccessDenied", "The console serves its own page alone.")


class _Page(Resource):
    """The files of the page."""

    isLeaf = True

    def __init__(self, files: Mapping[str, File], s3_url: Callable[[Request], str | None]) -> None:
        super().__init__()
        self._files, self._s3_url = files, s3_url

    def render(self, request: IRequest) -> int:
        """Send a file, without asking who wants it: what is in them everybody can install."""
        assert isinstance(request, Request)  # noqa: S101 - for mypy: the site makes no others
        request.log.operation = "GetConsolePage"
        file = self._files.get(request.raw_path[1:].decode("ascii") or INDEX)
        if file is None:
            # Also what clients of S3 are told that were given this address.
            raise S3Error("InvalidRequest", "This is the address of the console, not that of S3.")
        if request.method not in (b"GET", b"HEAD"):
            raise S3Error("MethodNotAllowed", headers={"Allow": "GET, HEAD"}, Method=request.wire.method)
        request.standing_headers = {**_PAGE, "content-security-policy": page_policy(self._s3_url(request))}
        headers = {"content-type": file.content_type, "cache-control": file.cache_control}
        content, etag = file.content, file.etag
        if file.compressed is not None and _ACCEPTS_GZIP(request.header("accept-encoding") or ""):
            content, etag = file.compressed, file.etag[:-1] + b'-gzip"'
            headers["content-encoding"] = b"gzip"
        headers["etag"] = etag
        if etag.decode("ascii") in [each.strip() for each in (request.header("if-none-match") or "").split(",")]:
            request.answer(304, headers)
        else:
            headers["content-length"] = b"%d" % len(content)
            request.answer(200, headers, b"" if request.method == b"HEAD" else content)
        return NOT_DONE_YET
