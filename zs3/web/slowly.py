"""Answers to what may take long: the head first, then white space now and then, so that no client gives up.

A failure that comes after the head is told in the body, under the status 200, as
S3 does for CompleteMultipartUpload, CopyObject and UploadPartCopy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from zs3.errors import S3Error
from zs3.web import xml
from zs3.web.call import Call
from zs3.web.responses import error_document, send_xml

#: Seconds without a byte; clients give up after 60 at the earliest.
INTERVAL = 10.0

_log = Logger()
_T = TypeVar("_T")


async def answer_slowly(
    call: Call,
    work: Deferred[_T],
    build: Callable[[_T], xml.Element],
    headers: Callable[[_T], Mapping[str, str]] = lambda _: {},
) -> None:
    """Answer with the document that `build` makes of what `work` fires with.

    :param headers: what the head says of that, if it was not sent before.
    :raises Exception: what `work` fails with, as long as nothing was sent.
    """
    request = call.request

    def beat() -> None:
        if request.gone:
            return
        if request.startedWriting:
            request.write(b" ")
        else:
            request.setHeader("Content-Type", "application/xml")
            request.write(xml.DECLARATION)

    heart = LoopingCall(beat)
    heart.clock = call.settings.clock
    heart.start(INTERVAL, now=False)
    try:
        done = await work
        body, told = build(done).body(), headers(done)
    except Exception as error:
        if not request.startedWriting:
            raise
        body, told = _late_error(call, error), {}
    finally:
        heart.stop()
    if not request.startedWriting:
        send_xml(request, xml.DECLARATION + body, headers=told)
    elif not request.gone:
        request.write(body)
        request.finish()


def _late_error(call: Call, error: Exception) -> bytes:
    request = call.request
    if not isinstance(error, S3Error):
        _log.failure("request {request_id} failed", request_id=request.request_id)
        error = S3Error("InternalError")
    request.log.error = error.code
    document = error_document(error, call.resource, request.request_id, request.site.host_id)
    # The declaration was the first that was sent.
    return document[document.index(b"<Error") :]
