"""TLS handshakes in memory, between OpenSSL as Python has it and what a server makes its connections with.

And what tests of certificates on disk need besides.
"""

import ssl
from types import SimpleNamespace

from cryptography import x509
from OpenSSL import SSL


class Server:
    """What `Certificates` take for Twisted's protocol: who came to which address."""

    def __init__(self, host):
        self.transport = SimpleNamespace(getHost=lambda: SimpleNamespace(host=host))


def client_context(*, trust=None, alpn=("h2", "http/1.1")):
    """A client's settings.

    :param trust: PEM of what is trusted; without it, everything is.
    """
    if trust is not None:
        context = ssl.create_default_context(cadata=trust.decode())
    else:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(list(alpn))
    return context


class Shaken:
    """A handshake that went well: the client's end, and what it was shown."""

    def __init__(self, client):
        self.client = client
        der = client.getpeercert(binary_form=True)
        self.certificate = None if der is None else x509.load_der_x509_certificate(der)


def shake_hands(certificates, name=None, context=None, host="192.0.2.1", session=None):
    """Shake hands with a server that has `certificates`.

    :param name: whom the client asks for.
    :param host: the server's address, as it sees it.
    :raises ssl.SSLError: as the client sees it.
    :raises SSL.Error: as the server sees it.
    """
    protocol = Server(host)
    server = certificates.serverConnectionForTLS(protocol)
    server.set_accept_state()
    server.set_app_data(protocol)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = (context or client_context()).wrap_bio(incoming, outgoing, server_hostname=name, session=session)
    done = set()
    while len(done) < 2:
        for each, wants in ((client, ssl.SSLWantReadError), (server, SSL.WantReadError)):
            try:
                each.do_handshake()
                done.add(each)
            except wants:
                pass
            finally:
                exchange(incoming, outgoing, server)
    # A ticket of TLS 1.3 comes with the first bytes.
    server.send(b"x")
    exchange(incoming, outgoing, server)
    client.read(1)
    return Shaken(client)


def exchange(incoming, outgoing, server):
    if outgoing.pending:
        server.bio_write(outgoing.read())
    try:
        incoming.write(server.bio_read(1 << 16))
    except SSL.WantReadError:
        pass


def shown(certificates, *arguments, **named):
    """The certificate in a handshake that goes well; arguments as of `shake_hands`."""
    return shake_hands(certificates, *arguments, **named).certificate


class Now:
    """A clock that is set by hand."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds

    def pass_by(self, seconds=1.0):
        self.seconds += seconds


def write(path, data):
    """Put a file in place of another, as those do who renew certificates."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name("." + path.name)
    temporary.write_bytes(data)
    temporary.rename(path)
