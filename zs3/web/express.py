"""GET and HEAD of an ordinary object that the kernel has at hand.

A short cut through `guard`, `resources` and `objects`, for the requests of which
there are most.  It serves what they would serve, in the same words, and leaves
alone what it is not sure of: other operations, odd names and headers, refusals.
"""

from __future__ import annotations

import re
from typing import Any

from twisted.python.failure import Failure

from zs3.auth.credentials import UsersChecker
from zs3.auth.sigv4 import decode_claim
from zs3.errors import S3Error
from zs3.store.interface import IFileReader, ObjectInfo
from zs3.web import operations
from zs3.web.call import Settings
from zs3.web.coroutines import begin
from zs3.web.headers import representation
from zs3.web.objects import Answer
from zs3.web.producers import answer_object
from zs3.web.query import Query
from zs3.web.ranges import Span
from zs3.web.request import Request
from zs3.web.responses import send_error

#: Header fields that choose what is answered.
_SELECTING = frozenset(
    (
        *(b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since"),
        *(b"range", b"if-range", b"x-amz-checksum-mode"),
    )
)
#: All others that are served here: they mean nothing to GetObject and HeadObject, or are the signature's.
_ORDINARY = _SELECTING | frozenset(
    (
        *(b"host", b"user-agent", b"accept", b"accept-encoding", b"accept-language", b"connection", b"content-length"),
        *(b"authorization", b"date", b"x-amz-date", b"x-amz-content-sha256", b"x-amz-user-agent"),
        *(b"amz-sdk-invocation-id", b"amz-sdk-request", b"x-amzn-trace-id", b"traceparent"),
    )
)
#: A bucket and a key that are spelled like this stand for themselves, and the signature is over this spelling.
_TARGET = re.compile(rb"/([A-Za-z0-9][A-Za-z0-9.-]{0,62})/([A-Za-z0-9._~/-]{1,1024})", re.ASCII).fullmatch
_NO_QUERY = Query()
_OPERATIONS = {
    method: operations.find(operations.OBJECT, method.decode("ascii"), (), lambda _: None)
    for method in (b"GET", b"HEAD")
}


class Express:
    """Knows what the guard and the realm know.

    :param store: an `IStore`.
    """

    def __init__(self, store: Any, users: UsersChecker, settings: Settings) -> None:
        self._store, self._users, self._settings = store, users, settings

    def serve(self, request: Request) -> bool:
        """Answer, now or later, or do nothing and say False."""
        operation = _OPERATIONS.get(request.method)
        target = _TARGET(request.uri)
        if operation is None or target is None or request.has_body or not request.values.keys() <= _ORDINARY:
            return False
        bucket, key = target[1].decode("ascii"), target[2].decode("ascii")
        try:
            claim = decode_claim(request.wire, now=self._settings.clock.seconds(), region=self._settings.region)
        except S3Error:
            return False
        request.claim = claim  # for the ordinary way, if it comes to that
        user = None if claim is None else self._users.verified(claim)
        if claim is None or user is None or not user.may(operation.access, bucket):
            return False
        try:
            found = self._store.open_now(bucket, key)
        except S3Error as error:
            found = error
        if found is None:
            return False
        log = request.log
        log.access_key, log.operation, log.bucket, log.key = claim.access_key, operation.name, bucket, key
        if isinstance(found, S3Error):
            send_error(request, found)
        else:
            begin(_answer(request, found))
        return True


async def _answer(request: Request, reader: IFileReader) -> None:
    try:
        info: ObjectInfo = reader.info()
        status, span = 200, Span(0, info.size)
        if _SELECTING.isdisjoint(request.values):
            headers = representation(info)
            headers["content-length"] = b"%d" % info.size
        else:
            answer = Answer(request.header, _NO_QUERY, info)
            status, headers, span = answer.status, answer.headers, answer.span
        if status == 304 or request.method == b"HEAD":
            request.answer(status, headers)
        else:
            await answer_object(request, status, headers, reader, span.first, span.size)
    except S3Error as error:
        send_error(request, error)
    except Exception:
        send_error(request, Failure())
    finally:
        reader.close()
