"""Answers in S3's form, other than the content of an object.

What every response carries (ids, Date, Server) is added by the channel; what
an operation says in its XML is built elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from zs3.errors import S3Error
from zs3.web import xml

if TYPE_CHECKING:
    from zs3.web.request import Request

_log = Logger()

#: the statuses whose responses have neither content nor its length (RFC 9110 sections 8.6 and 15.4.5)
_BODILESS = frozenset((204, 304))


def send_xml(
    request: Request, document: bytes, status: int = 200, headers: Mapping[str, str | bytes] | None = None
) -> None:
    """Answer with a document and finish the request.

    Nothing happens if the client has gone.
    """
    _send(request, document, status, {"Content-Type": "application/xml", **(headers or {})})


def send_html(request: Request, page: bytes, status: int, headers: Mapping[str, str | bytes]) -> None:
    """As `send_xml`, with a page in UTF-8."""
    _send(request, page, status, {"Content-Type": "text/html; charset=utf-8", **headers})


def send_json(
    request: Request, document: bytes, status: int = 200, headers: Mapping[str, str | bytes] | None = None
) -> None:
    """As `send_xml`, with a document in JSON."""
    _send(request, document, status, {"Content-Type": "application/json", **(headers or {})})


def send_empty(request: Request, status: int, headers: Mapping[str, str | bytes] | None = None) -> None:
    """Answer without content and finish the request; a Content-Length among `headers` stands (HEAD).

    Nothing happens if the client has gone.
    """
    _send(request, b"", status, headers or {})


def send_error(request: Request, error: BaseException | Failure, resource: str = "") -> None:
    """Answer with an error document and finish the request; safe at any time and more than once.

    An `S3Error` is told as it is.  Anything else is logged with its traceback and told as InternalError, without.
    Headers that a handler has set for the answer it did not send are dropped.  If the head of a response was
    sent, the connection is aborted: an error must not pass for content.

    :param resource: of the document; by default the path of the request as received.
    """
    reason = begin_error(request, error)
    if reason is None:
        return
    path = resource or request.raw_path.decode("ascii")
    document = error_document(reason, path, request.request_id, request.site.host_id, control=request.control)
    send_xml(request, document, reason.status, reason.headers)


def begin_error(request: Request, error: BaseException | Failure) -> S3Error | None:
    """What the client is to be told of an error, for who tells it otherwise than `send_error`, which see.

    None if nothing can be told any more.
    """
    reason = error.value if isinstance(error, Failure) else error
    if not isinstance(reason, S3Error):
        if not (request.gone and isinstance(reason, CancelledError)):  # the handler was cancelled as it should be
            failure = error if isinstance(error, Failure) else Failure(error)
            _log.failure("request {request_id} failed", failure, request_id=request.request_id)
        reason = S3Error("InternalError")
    if request.finished:
        return None
    request.log.error = request.log.error or reason.code
    if request.startedWriting:
        request.abort()
        return None
    request.responseHeaders = Headers()
    return reason


def error_document(error: S3Error, resource: str, request_id: str, host_id: str, *, control: bool = False) -> bytes:
    """The XML of an error (Amazon S3 API Reference, "REST error responses").

    :param control: as S3 Control tells it: other APIs than that of S3 have one more element around it.
    """
    told = {"Code": error.code, "Message": error.message, **error.fields, "Resource": resource}
    ids = {"RequestId": request_id, "HostId": host_id}
    if control:
        root = xml.root("ErrorResponse", namespace=xml.CONTROL_NAMESPACE)
        _add_all(root.add("Error"), told)
    else:
        root = xml.root("Error", namespace="")
        _add_all(root, told)
    _add_all(root, ids)
    return root.document()


def _add_all(parent: xml.Element, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        parent.add(name, text)


def _send(request: Request, body: bytes, status: int, headers: Mapping[str, str | bytes]) -> None:
    if request.gone:
        return
    lines = {}
    if status not in _BODILESS and request.method != b"HEAD":
        lines["content-length"] = b"%d" % len(body)
    for name, value in headers.items():
        lines[name.lower()] = value if isinstance(value, bytes) else value.encode("utf-8")
    request.answer(status, lines, b"" if request.method == b"HEAD" or status in _BODILESS else body)
