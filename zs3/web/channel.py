"""One connection: bytes in, requests handed on at the end of their heads, responses out in order.

The only module that touches private names of Twisted (tests/wire/test_transport_names.py
says which, and what they are needed for).  The grammar is in `http1`, the
time limits in `limits`; nothing here knows S3 but the codes of its errors.

Twisted's own channel hands a request on when its body is complete, and breaks
if the answer comes earlier.  What is used of it is the consumer and producer
side of the connection, which `twisted.web.http.Request` writes to.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IDelayedCall, IPullProducer
from twisted.internet.task import deferLater
from twisted.internet.tcp import Connection
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.http import RESPONSES, _ChunkedTransferDecoder, _MalformedChunkedDataError
from twisted.web.http_headers import Headers

from zs3.errors import S3Error
from zs3.web.admission import MOST_WAIT_S, REQUESTS_PER_ADDRESS
from zs3.web.body import Body
from zs3.web.http1 import MAX_HEAD, Head, header_lines, lines_of, name_as_sent, parse_head, salvage
from zs3.web.limits import Deadline

if TYPE_CHECKING:
    from zs3.web.request import Request
    from zs3.web.site import Site

#: an unread rest of a body up to this many bytes is read and thrown away to keep the connection
MAX_DRAIN = 1024 * 1024

#: bytes that are taken from the socket at once: of heads and small bodies, and of large ones
_READ, _READ_LARGE = 64 * 1024, 256 * 1024

#: bytes of further requests that are taken from the socket while one is being served: only who reads on
#: notices that the client has gone
MAX_AHEAD = 16 * 1024

#: empty lines that are ignored before a request
MAX_EMPTY_LINES = 4

# Line breaks are taken out of header values by Twisted, other controls are not (RFC 9110 section 5.5).
_WITHOUT_CONTROLS = bytes(c if c in b"\t\r\n" or (c > 31 and c != 127) else 32 for c in range(256))

# The content of a TLS record at most (RFC 8446 section 5.1).
_TLS_RECORD = 2**14

# Why nothing is read from the connection.
_BODY_FULL, _AHEAD_FULL = 1, 2


class _State(Enum):
    HEAD = auto()  # between requests, or within a head
    BODY = auto()  # a request was handed on, its body is still coming
    TURN = auto()  # a request waits for its turn, as there were many from its address
    ANSWER = auto()  # the body is complete, the answer is not
    BROKEN = auto()  # what follows cannot be understood, but there is an answer to send
    CLOSING = auto()  # what comes is not looked at


class Channel(http.HTTPChannel):
    """An HTTP/1.1 connection; requests are served one after the other.

    An answer may come before the body has ended.  A rest of up to `MAX_DRAIN` bytes is drained.  Otherwise the
    answer says ``Connection: close``, the sending side is closed, and what comes is discarded for a moment:
    closing at once would make the kernel send a reset that can overtake the answer (RFC 9112 section 9.6).
    """

    site: Site
    transport: Any
    requests: list[Request]

    def __init__(self) -> None:
        super().__init__()
        # As far as HTTPChannel knows, a request is always under way: then it passes the back-pressure of the
        # transport on to whoever produces the response, and leaves the reading side to us.
        self._handlingRequest = True
        self._peer: IAddress | None = None
        self._host: IAddress | None = None
        self._state = _State.HEAD
        self._within_head = False
        self._skipped_lines = 0
        self._ahead = b""  # received, not yet understood
        self._stepping = False
        self._holds = 0
        self._write_full = False
        self._retiring = False
        self._body: Body | None = None
        self._rest = 0
        self._chunks: _ChunkedTransferDecoder | None = None
        self._awaits_continue = False
        #: What the client is counted as by `zs3.web.admission`; None if it is not, or not yet.
        self._network: bytes | None = None
        self._turn: IDelayedCall | None = None

    # -- what the transport calls

    def connectionMade(self) -> None:
        super().connectionMade()
        self._limits = self.site.limits
        # Not by its class: importing that costs memory where there is no TLS.
        self._on_tls = hasattr(self.transport, "_tlsConnection")
        below = self.transport.transport if self._on_tls else self.transport
        self._socket: Any = below if isinstance(below, Connection) and not below.TLS else None
        self._on_socket = self._socket is self.transport
        self._deadline = Deadline(self.site.reactor, self.timeoutConnection)
        # What is behind a proxy, the first bytes tell.
        self._entered = not isinstance(below, ProtocolWrapper)
        self.site.opened(self)
        self._arm()
        if self._entered:
            self._enter()

    def _enter(self) -> None:
        """Count the connection as one of its client."""
        host = getattr(self.getPeer(), "host", None)
        network = self.site.admission.network(host)
        if network is None:
            return
        if limit := self.site.admission.enter(network):
            self.site.refused(limit, host)
            self.abort()
        else:
            self._network = network

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._deadline.stop()
        if self._turn is not None:
            self._turn.cancel()
        if self._network is not None:
            self.site.admission.leave(self._network)
        self._state, self._ahead = _State.CLOSING, b""
        super().connectionLost(reason)
        self.site.closed(self)

    def dataReceived(self, data: bytes) -> None:
        if not self._entered:
            self._entered = True
            self._enter()
        if self._state is not _State.CLOSING:
            self._ahead = self._ahead + data if self._ahead else data
            self._advance()

    def pauseProducing(self) -> None:
        self._write_full = True
        self._arm()
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self._write_full = False
        self._arm()
        super().resumeProducing()
        self._advance()

    def timeoutConnection(self) -> None:
        """The time for what this connection waits for is over."""
        if self._write_full or self._state is _State.CLOSING:
            self.abort()
        elif self._state is _State.BODY:
            self._break(S3Error("RequestTimeout"))
        elif self._within_head:
            self._refuse(S3Error("RequestTimeout"))
        else:
            self._close()

    # -- what the request calls

    def write(self, data: bytes) -> None:
        """Write content, or what `http.Request` does."""
        if self._on_tls and self._socket is not None and len(data) > _TLS_RECORD:
            self._encrypt(data)
        else:
            self.transport.write(data)

    def tls_version(self) -> str | None:
        """In OpenSSL's words, e.g. ``TLSv1.3``; None without TLS."""
        return str(self.transport._tlsConnection.get_protocol_version_name()) if self._on_tls else None  # noqa: SLF001

    # Asked once: each is a system call, and every request wants to know.  Not before the first request: what a proxy
    # says of its client comes with the first bytes.
    def getPeer(self) -> IAddress:
        if self._peer is None:
            self._peer = super().getPeer()
        return self._peer

    def getHost(self) -> IAddress:
        if self._host is None:
            self._host = super().getHost()
        return self._host

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        pairs = []
        for name, values in headers.getAllRawHeaders():
            sent_name = name_as_sent(name.decode("latin-1"))
            pairs += [(sent_name, value) for value in values]
        head = self._head(self._common_headers(), version, code, reason, lines_of(pairs))
        self._send(head.translate(_WITHOUT_CONTROLS))

    def write_answer(
        self, version: bytes, code: int, reason: bytes, headers: Mapping[str, bytes], content: bytes
    ) -> None:
        """The head of a response and its whole content, in one piece; or the head alone, before `send_file`."""
        head = self._head(self._common_headers(), version, b"%d" % code, reason, header_lines(headers))
        self._send(head + content if content else head)

    def answer_at_once(self, request_id: str, head: Head, status: int, lines: bytes, content: bytes) -> None:
        """Answer a head for which no `Request` was made: one that has no body.

        :param lines: `header_lines` of all there are, Content-Length among them where there is one; no value holds a
            control character.
        :param content: nothing where there can be none.
        """
        data = self._head(self.site.common_headers(request_id), head.version, b"%d" % status, RESPONSES[status], lines)
        self._send(data + content if content else data)
        self._next()

    def turn_of_others(self) -> Deferred[None]:
        """Fires when others may have had their turn.

        What TLS sends goes into the socket at once: to a client that keeps up the reactor would never return otherwise.
        """
        if self._on_tls and self._socket is not None:
            return deferLater(self.site.reactor, 0)
        return succeed(None)

    @property
    def on_socket(self) -> bool:
        """Whether bytes go into a socket as they are, so that `begin_file` may be called."""
        return self._on_socket

    def begin_file(self, producer: IPullProducer) -> None:
        """Let `producer` send a file by `send_file`, whenever it is resumed; the content's other ways are closed then.

        It is resumed for the first time at once.
        """
        self.transport.unregisterProducer()
        self.transport.registerProducer(producer, False)

    def send_file(self, fd: int, offset: int, size: int) -> int:
        """Send bytes of a file straight to the socket: how many it took.

        :raises EOFError: the file has none.
        """
        if self._waits_to_write() or self._state is _State.CLOSING:
            return 0
        try:
            sent = os.sendfile(self.transport.getHandle().fileno(), fd, offset, size)
        except (BlockingIOError, ConnectionError):
            return 0  # the transport will find out of a broken connection
        if sent == 0:
            raise EOFError
        return sent

    def wait_for_room(self) -> None:
        """For the producer of a file: resume me when the client has taken what is on its way."""
        self._write_full = True
        self._arm()
        self.transport.startWriting()

    def wait_for_disk(self) -> None:
        """For the producer of a file: it is not the client that I wait for."""
        self._write_full = False
        self._arm()

    def end_file(self) -> None:
        """The file is sent, or given up."""
        self._write_full = False
        if self._state is not _State.CLOSING:
            self.transport.unregisterProducer()
            self.transport.registerProducer(self, True)

    def _waits_to_write(self) -> bool:
        transport = self._socket
        return bool(transport.dataBuffer or transport._tempDataLen or transport.disconnecting)  # noqa: SLF001

    def _common_headers(self) -> bytes:
        request = self.requests[0]
        return self.site.common_headers(request.request_id, nosniff=request.nosniff)

    def _head(self, common: bytes, version: bytes, code: bytes, reason: bytes, lines: bytes) -> bytes:
        if self._state is _State.BODY and (
            # Having had its answer, a client that waited may or may not send the body: there is no telling what
            # the next bytes are (RFC 9110 section 10.1.1).  The rest of a chunked body may be of any length.
            self._awaits_continue or self._chunks is not None or self._rest > MAX_DRAIN
        ):
            self.persistent = False
        end = b"\r\n" if self.persistent else b"Connection: close\r\n\r\n"
        return b"%b %b %b\r\n%b%b%b" % (version, code, reason, common, lines, end)

    def _send(self, data: bytes) -> None:
        """Write to the transport, or, if it is a socket for which nothing waits, into that at once.

        That spares the reactor the wait for the socket to become writable, which it nearly always is.
        """
        if self._on_socket:
            self._put(data)
        else:
            self.transport.write(data)

    def _put(self, data: bytes) -> None:
        """The same for what goes over the socket as it is."""
        if not self._waits_to_write():
            try:
                sent = self._socket.getHandle().send(data)
            except OSError:
                sent = 0  # the transport will find out what is the matter
            if sent == len(data):
                return
            data = data[sent:]
        self._socket.write(data)

    def _encrypt(self, data: bytes) -> None:
        """Do what TLS's own `write` does, but hand over what was encrypted as a whole instead of record by record.

        That takes half of the CPU time.  Whatever is unusual is left to TLS.
        """
        tls = self.transport
        tls._aggregator.flush()  # noqa: SLF001
        if tls.disconnecting or tls._lostTLSConnection or tls._appSendBuffer:  # noqa: SLF001
            tls.write(data)
            return
        connection, view, done = tls._tlsConnection, memoryview(data), 0  # noqa: SLF001
        try:
            while done < len(data):
                done += connection.send(view[done : done + _TLS_RECORD])
        except Exception:  # OpenSSL's: it wants to read first, or has failed; TLS finds the same and sees to it
            tls._flushSendBIO()  # noqa: SLF001
            tls.write(data[done:])
            return
        self._put(connection.bio_read(len(data) + len(data) // 64))
        tls._flushSendBIO()  # noqa: SLF001 - a rest, if something else was waiting

    def requestDone(self, request: Request) -> None:
        self.requests.remove(request)
        if self._state is _State.CLOSING:
            return
        if self._state is _State.BODY and self.persistent and self._body is not None:
            self._body.discard()
            # Once for all that is left: a byte now and then does not prolong it.
            self._deadline.set(self._limits.body)
        elif self._state is _State.BODY or self._state is _State.BROKEN:
            self._linger()
        else:
            self._next()

    def abort(self) -> None:
        """Drop the connection at once, with all that was not sent."""
        self._state, self._ahead = _State.CLOSING, b""
        self.transport.abortConnection()

    # -- what the body calls

    def start_body(self) -> None:
        if self._awaits_continue and self._state is _State.BODY:
            self._awaits_continue = False
            if not self.requests[0].startedWriting:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._arm()

    def pause_body(self) -> None:
        self._hold(_BODY_FULL, True)
        self._arm()

    def resume_body(self) -> None:
        self._hold(_BODY_FULL, False)
        self._arm()

    # -- what the site calls

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a request of which nothing has come yet."""
        return self._state is _State.HEAD and not self._ahead

    def retire(self) -> None:
        """Serve what was begun, then close; with nothing begun, close."""
        self._retiring, self.persistent = True, False
        if self.is_idle:
            self._close()

    # -- from bytes to requests

    def _advance(self) -> None:
        """Understand as much of what was received as may be understood now."""
        if self._stepping:  # a request was answered from within a step
            return
        self._stepping = True
        try:
            while self._ahead and self._step():
                pass
        finally:
            self._stepping = False
        # An incomplete head, which may be longer than that, can only be completed by reading on.
        waiting = self._write_full or self._state in (_State.TURN, _State.ANSWER)
        self._hold(_AHEAD_FULL, waiting and len(self._ahead) > MAX_AHEAD)

    def _step(self) -> bool:
        """One head or piece of a body; False if there is nothing more to do."""
        if self._state is _State.HEAD:
            # Who does not take our answers does not get more of them.
            return not self._write_full and self._receive_head()
        if self._state is _State.BODY:
            data, self._ahead = self._ahead, b""
            self._receive_body(data)
            return True
        if self._state not in (_State.TURN, _State.ANSWER):
            self._ahead = b""
        return False

    def _receive_head(self) -> bool:
        ahead = self._ahead
        if ahead.startswith(b"\r\n"):
            # RFC 9112 section 2.2 asks that one empty line before the request line be ignored, not a flood of them.
            if self._skipped_lines == MAX_EMPTY_LINES:
                self._refuse(S3Error("BadRequest"))
                return False
            self._skipped_lines += 1
            self._ahead = ahead[2:]
            return True
        end = ahead.find(b"\r\n\r\n", 0, MAX_HEAD + 4)
        if end < 0:
            if len(ahead) >= MAX_HEAD + 4:
                self._refuse(S3Error("RequestHeaderSectionTooLarge", MaxSizeAllowed=str(MAX_HEAD)))
            elif not self._within_head:
                # Once for the whole head: a byte now and then does not prolong it.
                self._within_head = True
                self._arm()
            return False
        try:
            head = parse_head(ahead[:end])
        except S3Error as error:
            self._refuse(error)
            return False
        self._ahead = ahead[end + 4 :]
        self._within_head = False
        self._skipped_lines = 0
        self._begin(head)
        return True

    def _begin(self, head: Head) -> None:
        self.persistent = head.persistent and not self._retiring
        if self._network is not None and self.site.admission.limits_requests:
            seconds = self.site.admission.turn(self._network)
            if seconds > 0:
                self._state = _State.TURN
                self._arm()
                refused = seconds > MOST_WAIT_S
                self._turn = self.site.reactor.callLater(min(seconds, MOST_WAIT_S), self._end_turn, head, refused)
                return
        self._serve(head)

    def _end_turn(self, head: Head, refused: bool) -> None:
        self._turn = None
        if refused:
            self.site.refused(REQUESTS_PER_ADDRESS, getattr(self.getPeer(), "host", None))
            self.begin_request(head).turn_away(S3Error("SlowDown"))
        else:
            self._serve(head)
        self._advance()

    def _serve(self, head: Head) -> None:
        if head.length != 0 or not self.site.serve_at_once(head, self):
            self.begin_request(head).process()

    def begin_request(self, head: Head) -> Request:
        """The request of a head; whoever asked for it answers it."""
        request = self._new_request()
        self._body = body = Body(self)
        if head.length == 0:
            self._state = _State.ANSWER
            body.end()
        else:
            self._state = _State.BODY
            # A client that has begun to send is not waiting.
            self._awaits_continue = head.expects_continue and not self._ahead
            self._rest = head.length or 0
            self._take_at_once(_READ_LARGE if self._rest > _READ_LARGE else _READ)
            self._chunks = _ChunkedTransferDecoder(body.feed, self._end_chunks) if head.length is None else None
        self._arm()
        request.receive(head, body)
        return request

    def _new_request(self) -> Request:
        request = self.site.make_request(self)
        self.requests.append(request)
        return request

    def _receive_body(self, data: bytes) -> None:
        assert self._body is not None  # noqa: S101 - for mypy: BODY is the state that has one
        self._awaits_continue = False
        self._arm()
        if self._chunks is not None:
            try:
                self._chunks.dataReceived(data)
            except _MalformedChunkedDataError:
                self._break(S3Error("BadRequest", "The chunks of the request body are malformed."))
        elif len(data) < self._rest:
            self._rest -= len(data)
            self._body.feed(data)
        else:
            if len(data) > self._rest:
                data, self._ahead = data[: self._rest], data[self._rest :]
            self._rest = 0
            self._body.feed(data)
            self._end_body()

    def _end_chunks(self, rest: bytes) -> None:
        self._ahead = rest
        self._end_body()

    def _end_body(self) -> None:
        if self._state is not _State.BODY or self._body is None:
            return  # closed by whoever got the last piece
        if not self.requests:  # answered before, and drained now
            self._next()
        else:
            self._state = _State.ANSWER
            self._arm()
            self._body.end()

    def _break(self, error: S3Error) -> None:
        """There will be no end of this body: its reader gets the error, and answers it."""
        self._state, self._ahead, self.persistent = _State.BROKEN, b"", False
        self._arm()
        if self.requests and self._body is not None:
            self._body.fail(Failure(error))
        else:
            self._linger()

    def _refuse(self, error: S3Error) -> None:
        """Answer what is not a request; where the next one begins cannot be told."""
        head, self._ahead, self._within_head = self._ahead, b"", False
        request = self._new_request()
        self._state, self.persistent = _State.BROKEN, False
        self._arm()
        request.refuse(error, *salvage(head))

    def _next(self) -> None:
        """The request is over and so is its body."""
        self._take_at_once(_READ)
        if not self.persistent:
            if self._ahead:
                self._linger()
            else:
                self._close()
            return
        self._state, self._body = _State.HEAD, None
        self._arm()
        self._advance()

    # -- back-pressure, time and end

    def _take_at_once(self, size: int) -> None:
        if self._on_socket:
            self.transport.bufferSize = size

    def _hold(self, why: int, wanted: bool) -> None:
        before = self._holds
        self._holds = before | why if wanted else before & ~why
        if bool(before) != bool(self._holds) and self._state is not _State.CLOSING:
            if self._holds:
                self.transport.pauseProducing()
            else:
                self.transport.resumeProducing()

    def _arm(self) -> None:
        """Set the limit for what is waited for now; none while it is we who are waited for."""
        if self._state is _State.CLOSING:
            return
        if self._write_full:
            self._deadline.set(self._limits.stall)
        elif self._state is _State.HEAD:
            self._deadline.set(self._limits.head if self._within_head else self._limits.idle)
        elif self._state is _State.BODY and not self.requests:
            pass  # a rest is drained, within the time that was set for it
        elif self._state is _State.BODY and not self._awaits_continue and not self._holds & _BODY_FULL:
            self._deadline.set(self._limits.body)
        else:
            self._deadline.clear()

    def _close(self) -> None:
        """Close once the client has fetched what was sent."""
        self._state, self._ahead = _State.CLOSING, b""
        self._deadline.set(self._limits.stall)
        self.loseConnection()
        below = self.transport.transport if isinstance(self.transport, ProtocolWrapper) else None
        if below is not None:
            # TLS has sent its close_notify and awaits the client's, which may not come before the client needs the
            # connection again.  RFC 8446 section 6.1 does not ask us to wait.
            below.loseConnection()

    def _linger(self) -> None:
        """Close the sending side, and discard for a moment what the client still sends."""
        if self._holds:
            self._holds = 0
            self.transport.resumeProducing()
        self._state, self._ahead = _State.CLOSING, b""
        self._deadline.set(self._limits.linger)
        if self.isSecure():
            # A close_notify is all that TLS knows of a half close; reading goes on until the client's own.
            self.loseConnection()
        else:
            self.transport.unregisterProducer()
            self.transport.loseWriteConnection()
