"""The whole tree of resources over a real store, and clients that sign as the AWS SDKs do.

No socket and no thread: the store's hops happen at once, so an answer is there when the request was sent.
"""

import base64
import hashlib
import time
from urllib.parse import quote, urlencode

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from lxml import etree
from twisted.cred.checkers import AllowAnonymousAccess
from twisted.cred.portal import Portal
from twisted.internet import defer
from twisted.web.resource import Resource

from tests.wire.harness import Connection, Response, Server
from zs3.auth import accounts
from zs3.auth.access import ENFORCED
from zs3.auth.credentials import UsersChecker
from zs3.auth.users import User
from zs3.store.deferred import FilesystemStore
from zs3.web.guard import S3Guard
from zs3.web.resources import Realm

ADMIN = User("ADMINKEY", "admin-secret", "admin", None, "root")
WRITER = User("WRITERKEY", "writer-secret", "writer", frozenset({"photos", "music"}), "ann")
READER = User("READERKEY", "reader-secret", "reader", None, "bob")
OWNER_ID = accounts.canonical_id(accounts.DEFAULT)
#: Of accounts of their own.
ALICE = User("ALICEKEY", "alice-secret", "admin", None, "alice", "alice")
BOB = User("BOBKEY", "bob-secret-key", "writer", None, "bob2", "bob")
#: Of Alice's account, and no administrator of it.
CLERK = User("CLERKKEY", "clerk-secret", "writer", None, "clerk", "alice")
#: Of Bob's account, and may only read.
READING_BOB = User("READBOBKEY", "readbob-secret", "reader", None, "reading", "bob")
USERS = {user.access_key: user for user in (ADMIN, WRITER, READER, ALICE, BOB, CLERK, READING_BOB)}

HOST = "s3.test"
NS = {"s3": "http://s3.amazonaws.com/doc/2006-03-01/"}


class Daemon:
    """A site over the directory `data`.

    :param guard: for `S3Guard`.
    :ivar server: the `Server`, with its clock.
    """

    def __init__(
        self,
        data,
        *,
        region=None,
        sigv2=True,
        domains=(),
        website_domains=(),
        ownership=ENFORCED,
        hop=defer.execute,
        access_log=None,
        observer=None,
        sync=False,
        **guard,
    ):
        self.data = data
        self.server = Server(Resource(), access_log=access_log, observer=observer)
        # botocore signs by the machine's clock.
        self.server.clock.rightNow = time.time()
        self.store = FilesystemStore(str(data), hop, clock=self.server.clock, sync=sync, observer=observer)
        self.users = UsersChecker(dict(USERS))
        self.server.site.resource = S3Guard(
            Portal(Realm(self.store, self.users), [self.users, AllowAnonymousAccess()]),
            region=region,
            sigv2=sigv2,
            domains=domains,
            website_domains=website_domains,
            clock=self.server.clock,
            ownership=ownership,
            **guard,
        )
        self.store.start()

    def stop(self):
        self.store.stop()

    def client(self, user=ADMIN, **options):
        return Client(self, user, **options)

    def temporary_files(self):
        """What lies in the daemon's own temporary directories."""
        return [
            path
            for path in (self.data / ".zs3" / "tmp").rglob("*")
            if path.is_file() and path.name not in ("owner", "lock")
        ]


def query_string(query):
    if not query:
        return ""
    pairs = list(query.items()) if isinstance(query, dict) else query
    return "?" + urlencode(pairs, quote_via=quote, safe="-_.~")


class Client:
    """Signs requests and sends each over the same connection.

    :param user: None signs nothing.
    :param region: what it signs for.
    """

    def __init__(self, daemon, user, *, region="us-east-1", host=HOST, **connection):
        self.daemon, self.user, self.region, self.host = daemon, user, region, host
        self.connection: Connection = daemon.server.connect(**connection)

    def signed(self, method, path, query=None, headers=None, body=None):
        """The target and the headers of a signed request."""
        target = quote(path, safe="/-_.~") + query_string(query)
        if self.user is None:
            return target, {"Host": self.host, **(headers or {})}
        request = AWSRequest(method, f"http://{self.host}{target}", headers=headers or {}, data=body or b"")
        credentials = Credentials(self.user.access_key, self.user.secret_key)
        S3SigV4Auth(credentials, "s3", self.region).add_auth(request)
        # Signed and sent as UTF-8; the harness writes Latin-1.
        sent = {name: value.encode("utf-8").decode("latin-1") for name, value in request.headers.items()}
        return target, {"Host": self.host, **sent}

    def __call__(self, method, path, query=None, headers=None, body=None) -> Response:
        """Send a signed request and receive the answer."""
        target, headers = self.signed(method, path, query, headers, body)
        if body is None and method in ("PUT", "POST"):
            body = b""
        return self.connection.request(method, target, headers, body)

    def presigned(self, method, path, query=None, headers=None, *, expires=60):
        """A target with the signature in its query."""
        target = quote(path, safe="/-_.~") + query_string(query)
        request = AWSRequest(method, f"http://{self.host}{target}", headers=headers or {})
        credentials = Credentials(self.user.access_key, self.user.secret_key)
        S3SigV4QueryAuth(credentials, "s3", self.region, expires=expires).add_auth(request)
        return request.url.removeprefix(f"http://{self.host}")

    def put(self, path, body=b"", headers=None):
        """PutObject or CreateBucket, which must succeed."""
        response = self("PUT", path, headers=headers, body=body)
        assert response.status == 200, response.body
        return response

    def post_xml(self, path, query, document):
        """POST a document with its Content-MD5."""
        digest = base64.b64encode(hashlib.md5(document).digest()).decode()
        return self("POST", path, query, {"Content-MD5": digest}, document)


def parse(response):
    """The root element of an answer, without namespaces."""
    assert response.headers["content-type"] == "application/xml"
    root = etree.fromstring(response.body)
    for element in root.iter():
        element.tag = etree.QName(element).localname
    return root


def texts(root, path):
    return [element.text or "" for element in root.findall(path)]
