"""The TLS that is spoken: versions, ciphers and protocol, for every endpoint the same.

One OpenSSL context for each certificate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from OpenSSL import SSL

from zs3.tls.pem import Pair

#: For TLS 1.2: forward secrecy and authenticated encryption.  All of those of TLS 1.3 have both.
CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"

_OPTIONS = SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE
_PROTOCOL = b"http/1.1"


def make_context(pair: Pair, choose: Callable[[SSL.Connection], None] | None = None) -> SSL.Context:
    """What connections are made with that show this certificate.

    :param choose: is called with each connection when the client has said whom it wants.
    :raises SSL.Error: if OpenSSL takes no such key or certificate, e.g. because the key is too short.
    """
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(_OPTIONS)
    # Idle connections give their buffers back.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_cipher_list(CIPHERS)
    context.use_certificate(pair.certificate)
    context.use_privatekey(pair.key)
    for each in pair.chain:
        context.add_extra_chain_cert(each)
    context.check_privatekey()
    # Sessions are in the tickets that clients keep, not here.  The id says that those of one name are as good as those
    # of another: which certificate is shown is looked at in each handshake.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(b"zs3")
    context.set_alpn_select_callback(_select_protocol)
    if choose is not None:
        context.set_tlsext_servername_callback(choose)
    return context


def _select_protocol(_connection: SSL.Connection, offered: Sequence[bytes]) -> Any:
    # Not the fatal alert of RFC 7301 where there is none: who sends HTTP/1.1 all the same is served.
    return _PROTOCOL if _PROTOCOL in offered else SSL.NO_OVERLAPPING_PROTOCOLS
