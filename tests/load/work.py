"""What a client under load does: each function one thing, of the size that `WORK` gives it in the mix."""

from __future__ import annotations

import base64
import hashlib
import http.client
import socket
from collections.abc import Callable, Sequence
from contextlib import closing
from urllib.parse import quote
from xml.sax.saxutils import escape

from tests.e2e.daemon import ACCESS_KEY, SECRET_KEY
from tests.e2e.plainhttp import Response, connect, fetch, presigned, signed_headers
from tests.e2e.signed import elements, texts
from tests.forms import CONTENT_TYPE, conditions_for, document, form
from tests.forms import signed as signed_form
from tests.load.client import PLAIN, VERSIONED, Client, Kept, Slow, Wrong, etag
from tests.load.tally import Body

ORIGIN = "http://app.example"
COUNTER = "shared/counter"
#: Lifecycle rules remove what is below these.
EXPIRING, ABANDONED = "expiring/", "abandoned/"

_SMALL, _LARGE, _PART = 64 << 10, 4 << 20, 5 << 20
#: Keys that a client has at most, and keys of versions.
_MOST, _MOST_VERSIONED = 40, 6
#: Versions of a key that the lifecycle rule surely leaves, the newest one too.
_SURE = 4


def _check_etag(answer: Response, body: Body) -> None:
    if etag(answer) != body.md5:
        raise Wrong(f"ETag {etag(answer)} of {body}")


def _make_room(client: Client) -> None:
    while len(client.objects) >= _MOST:
        delete(client)


def put_as(client: Client, key: str, body: Body, headers: dict[str, str] | None = None) -> None:
    """An object under a key of the client's own."""
    client.write(
        key,
        Kept.of(body),
        lambda: _check_etag(client.ask("PUT", key, headers=headers, body=body.bytes()), body),
    )


# Writing


def put(client: Client) -> None:
    """A small object under a new name or an old one."""
    _make_room(client)
    key = client.key(there=False) if client.chance.random() < 0.5 else None
    put_as(client, key or client.new_key(), client.new_body(0, _SMALL), {"x-amz-meta-a": "b"})


def put_large(client: Client) -> None:
    put_as(client, f"{client.prefix}large/{client.chance.randrange(4)}", client.new_body(_SMALL, _LARGE))


def put_chunked(client: Client) -> None:
    """As SDKs send it today: aws-chunked, with a checksum in the trailer."""
    _make_room(client)
    key, body = client.new_key(), client.new_body(1, 4 * _SMALL)
    content = body.bytes()
    chunks = [content[at : at + 0x10000] for at in range(0, len(content), 0x10000)]
    sum_ = base64.b64encode(hashlib.sha256(content).digest()).decode()
    sent = b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in chunks)
    sent += f"0\r\nx-amz-checksum-sha256:{sum_}\r\n\r\n".encode()
    headers = {
        "Content-Encoding": "aws-chunked",
        "Content-Length": str(len(sent)),
        "X-Amz-Decoded-Content-Length": str(len(content)),
        "X-Amz-Trailer": "x-amz-checksum-sha256",
    }

    def send() -> None:
        endpoint = client.endpoint()
        signed = signed_headers(endpoint, "PUT", f"/{PLAIN}/{key}", headers)
        with client.interruptible():
            answer = fetch(endpoint, f"/{PLAIN}/{key}", "PUT", sent, signed)
        _check_etag(client.judge(f"PUT {key}", answer, len(sent)), body)

    client.write(key, Kept.of(body), send)


def put_presigned(client: Client) -> None:
    _make_room(client)
    key, body = client.new_key(), client.new_body(0, _SMALL)

    def send() -> None:
        endpoint = client.endpoint()
        with client.interruptible():
            answer = fetch(endpoint, presigned(endpoint, "PUT", PLAIN, key), "PUT", body.bytes())
        _check_etag(client.judge(f"PUT {key}", answer, body.size), body)

    client.write(key, Kept.of(body), send)


class _User:
    access_key, secret_key = ACCESS_KEY, SECRET_KEY


def post_form(client: Client) -> None:
    _make_room(client)
    key, body = client.new_key(), client.new_body(0, _SMALL)
    fields = {"key": key}
    sent = form(signed_form(fields, document(conditions_for(fields, PLAIN)), _User), body.bytes())

    def send() -> None:
        endpoint = client.endpoint()
        with client.interruptible():
            answer = fetch(endpoint, f"/{PLAIN}", "POST", sent, {"Content-Type": CONTENT_TYPE})
        _check_etag(client.judge(f"POST {key}", answer, len(sent)), body)

    client.write(key, Kept.of(body), send)


def copy(client: Client) -> None:
    source = client.key()
    if source is None:
        return
    _make_room(client)
    if source not in client.objects:
        return
    # What comes of an upload in parts gets another ETag, or keeps it.
    kept = client.kept(source)
    key = client.new_key() if kept.body.size <= _SMALL else f"{client.prefix}large/{client.chance.randrange(4)}"

    def send() -> None:
        answer = client.ask("PUT", key, headers={"x-amz-copy-source": quote(f"/{PLAIN}/{source}")})
        if elements(answer.body).tag != "CopyObjectResult":
            raise Wrong(f"{answer.body!r}")

    if key != source:
        client.write(key, Kept(kept.body, "" if "-" in kept.etag else kept.etag), send)


def put_in_parts(client: Client) -> None:
    """Two parts, of which the first is sometimes sent twice, and Complete twice as well."""
    key = f"{client.prefix}parts/{client.chance.randrange(2)}"
    upload = _begin(client, key)
    whole = client.new_body(_PART + 1, _PART + 4 * _SMALL)
    content = whole.bytes()
    parts = content[:_PART], content[_PART:]
    digests = [hashlib.md5(each) for each in parts]
    for number in (1, 2) if client.chance.random() < 0.8 else (2, 1, 1):
        answer = client.ask("PUT", key, {"partNumber": str(number), "uploadId": upload}, body=parts[number - 1])
        if etag(answer) != digests[number - 1].hexdigest():
            raise Wrong(f"ETag {etag(answer)} of part {number} of {whole}")
    kept = Kept(whole, hashlib.md5(b"".join(each.digest() for each in digests)).hexdigest() + "-2")

    def send() -> None:
        for _ in range(client.chance.choice((1, 1, 2))):
            _complete(client, key, upload, [each.hexdigest() for each in digests], kept.etag)

    client.write(key, kept, send)


def _begin(client: Client, key: str) -> str:
    answer = client.ask("POST", key, {"uploads": ""})
    return elements(answer.body).findtext("UploadId") or ""


def _complete(client: Client, key: str, upload: str, etags: Sequence[str], expected: str) -> None:
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{each}</ETag></Part>" for number, each in enumerate(etags, 1)
    )
    sent = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    answer = client.ask("POST", key, {"uploadId": upload}, body=sent)
    root = elements(answer.body)
    if root.findtext("Code") == "SlowDown":
        raise Slow
    if (root.findtext("ETag") or "").strip('"') != expected:
        raise Wrong(f"Complete of {key}: {answer.body!r}")


def abort_parts(client: Client) -> None:
    key = f"{client.prefix}parts/aborted"
    upload = _begin(client, key)
    query = {"partNumber": "1", "uploadId": upload}
    client.ask("PUT", key, query, body=client.new_body(1, 4 * _SMALL).bytes())
    client.ask("DELETE", key, {"uploadId": upload})
    client.ask("PUT", key, query, body=b"late", allow=("NoSuchUpload",))
    client.look(key)


def abandon_parts(client: Client) -> None:
    """An upload that is left to the lifecycle rule."""
    key = ABANDONED + client.new_key()
    upload = _begin(client, key)
    client.ask("PUT", key, {"partNumber": "1", "uploadId": upload}, body=client.new_body(1, 4 * _SMALL).bytes())


def put_expiring(client: Client) -> None:
    """An object that is left to the lifecycle rule."""
    body = client.new_body(0, _SMALL)
    _check_etag(client.ask("PUT", EXPIRING + client.new_key(), body=body.bytes()), body)


def delete(client: Client) -> None:
    key = client.key(there=False)
    if key is not None:
        client.write(key, None, lambda: client.ask("DELETE", key))


def delete_several(client: Client) -> None:
    keys = [key for key in (client.key(), client.key()) if key is not None]
    keys = [*dict.fromkeys(keys), f"{client.prefix}never"]
    objects = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in keys)
    sent = f"<Delete>{objects}</Delete>".encode()
    headers = {"content-md5": base64.b64encode(hashlib.md5(sent).digest()).decode()}
    for key in keys:
        client.objects[key] = [*client.objects.get(key, []), None]
    root = elements(client.ask("POST", f"/{PLAIN}", {"delete": ""}, headers, sent).body)
    gone = {each.findtext("Key") for each in root.iterchildren("Deleted")}
    for key in keys:
        if key in gone:
            client.learn(key, None)
    if {each.findtext("Code") for each in root.iterchildren("Error")} - {"SlowDown"}:
        raise Wrong(f"bulk delete: {root.findtext('Error/Code')} {root.findtext('Error/Message')}")


# Conditions


def create_only(client: Client) -> None:
    _make_room(client)
    headers = {"if-none-match": "*"}
    key = client.key()
    if key is None or client.chance.random() < 0.5:
        put_as(client, client.new_key(), client.new_body(0, _SMALL), headers)
    else:
        answer = client.ask("PUT", key, headers=headers, body=b"never", allow=("PreconditionFailed",))
        if answer.status != 412:
            raise Wrong(f"If-None-Match overwrote {key}")
        client.look(key)


def swap(client: Client) -> None:
    """Count the counter of all clients up, if no other does so meanwhile."""
    least = client.tally.counted
    answer = client.ask("GET", COUNTER)
    seen = int(answer.body)
    if seen < least:
        raise Wrong(f"the counter is {seen} after {least}")
    headers = {"if-match": answer.headers["ETag"] or ""}
    with client.tally.counting() as outcome:
        answer = client.ask(
            "PUT",
            COUNTER,
            headers=headers,
            body=b"%d" % (seen + 1),
            allow=("PreconditionFailed", "ConditionalRequestConflict"),
        )
        outcome.append(answer.status == 200)


# Reading


def get(client: Client) -> None:
    key = client.key()
    if key is not None:
        client.look(key)


def get_range(client: Client) -> None:
    key = client.key()
    if key is None or not (size := client.kept(key).body.size):
        return
    first = client.chance.randrange(size)
    last = client.chance.randint(first, size - 1)
    answer = client.ask("GET", key, headers={"range": f"bytes={first}-{last}"})
    expected = client.kept(key).body.bytes()[first : last + 1]
    if (answer.status, answer.body, answer.headers["Content-Range"]) != (206, expected, f"bytes {first}-{last}/{size}"):
        raise Wrong(f"GET {key} {first}-{last}: {answer.status} {answer.headers['Content-Range']}")


def get_presigned(client: Client) -> None:
    key = client.key()
    if key is None:
        return
    endpoint = client.endpoint()
    with client.interruptible():
        answer = fetch(endpoint, presigned(endpoint, "GET", PLAIN, key))
    if client.judge(f"GET {key}", answer).body != client.kept(key).body.bytes():
        raise Wrong(f"presigned GET {key}")


def not_modified(client: Client) -> None:
    key = client.key()
    if key is not None and client.kept(key).etag:
        answer = client.ask("GET", key, headers={"if-none-match": f'"{client.kept(key).etag}"'}, allow=("304",))
        if answer.status != 304 or answer.body:
            raise Wrong(f"GET {key} if changed: {answer.status}")


def head(client: Client) -> None:
    key = client.key()
    if key is not None:
        answer = client.ask("HEAD", key)
        if answer.headers["Content-Length"] != str(client.kept(key).body.size):
            raise Wrong(f"HEAD {key}: {answer.headers.items()}")


def list_pages(client: Client) -> None:
    client.compare(client.listed({"prefix": client.prefix, "max-keys": str(client.chance.choice((3, 10, 1000)))}))


def list_prefixes(client: Client) -> None:
    answer = client.ask("GET", f"/{PLAIN}", {"prefix": client.prefix, "delimiter": "/"})
    found = {each.findtext("Prefix") for each in elements(answer.body).iterchildren("CommonPrefixes")}
    sure = {key for key, kept in client.objects.items() if None not in kept}
    missing = {"/".join(key.split("/")[:2]) + "/" for key in sure if key.count("/") > 1} - found
    if missing:
        raise Wrong(f"LIST with delimiter: {missing} are missing")


# Versions, tags


def put_version(client: Client) -> None:
    key = f"{client.prefix}v/{client.chance.randrange(_MOST_VERSIONED)}"
    known = client.versions.pop(key, [])
    kept = Kept.of(client.new_body(1, _SMALL))
    # If it is not known what comes of this, none of them is known to be among the newest any more.
    answer = client.ask("PUT", f"/{VERSIONED}/{key}", body=kept.body.bytes())
    _check_etag(answer, kept.body)
    client.versions[key] = [*known, (answer.headers["x-amz-version-id"] or "", kept)][-_SURE:]


def get_version(client: Client) -> None:
    if not client.versions:
        return
    key = client.chance.choice(list(client.versions))
    version, kept = client.chance.choice(client.versions[key])
    if kept is not None:
        client.look_at_version(key, version, kept)
    current = client.versions[key][-1][1]
    answer = client.ask("GET", f"/{VERSIONED}/{key}", allow=("NoSuchKey",))
    if (answer.status, answer.body) != (200, current.body.bytes()) if current else answer.status != 404:
        raise Wrong(f"GET {key}: {answer.status} {answer.body[:80]!r} instead of {current}")


def delete_version(client: Client) -> None:
    """A delete marker, which is taken away again; or a version for good."""
    if not client.versions:
        return
    key = client.chance.choice(list(client.versions))
    known = client.versions.pop(key)
    if client.chance.random() < 0.5 and known[-1][1] is not None:
        answer = client.ask("DELETE", f"/{VERSIONED}/{key}")
        client.versions[key] = [*known, (answer.headers["x-amz-version-id"] or "", None)][-_SURE:]
    else:
        gone = known.pop()[0]
        client.ask("DELETE", f"/{VERSIONED}/{key}", {"versionId": gone})
        answer = client.ask("GET", f"/{VERSIONED}/{key}", {"versionId": gone}, allow=("NoSuchVersion",))
        if answer.status != 404:
            raise Wrong(f"version {gone} of {key} is there after its removal")
        if known:
            client.versions[key] = known


def list_versions(client: Client) -> None:
    answer = client.ask("GET", f"/{VERSIONED}", {"versions": "", "prefix": client.prefix})
    found = {
        tuple(texts(each, "Key", "VersionId")) for each in elements(answer.body).iterchildren("Version", "DeleteMarker")
    }
    wanted = {(key, version) for key, versions in client.versions.items() for version, _ in versions}
    if wanted - found and elements(answer.body).findtext("IsTruncated") == "false":
        raise Wrong(f"LIST of versions: {wanted - found} are missing")


def tag(client: Client) -> None:
    key = client.key()
    if key is None:
        return
    sent = b"<Tagging><TagSet><Tag><Key>turn</Key><Value>%d</Value></Tag></TagSet></Tagging>" % client.made
    client.ask("PUT", key, {"tagging": ""}, body=sent)
    found = elements(client.ask("GET", key, {"tagging": ""}).body).findtext("TagSet/Tag/Value")
    if found != str(client.made):
        raise Wrong(f"tag of {key}: {found}")
    client.ask("DELETE", key, {"tagging": ""})


def make_bucket(client: Client) -> None:
    """One that has never been, and goes again."""
    client.made += 1
    bucket = f"/soak-{client.prefix[:-1]}-{client.made}"
    client.ask("PUT", bucket)
    client.ask("PUT", f"{bucket}/a/b", body=b"1")
    client.ask("DELETE", bucket, allow=("BucketNotEmpty",))
    client.ask("DELETE", f"{bucket}/a/b")
    client.ask("DELETE", bucket)
    client.ask("GET", f"{bucket}/a/b", allow=("NoSuchBucket",))


# What is refused, and who goes away


def bad_signature(client: Client) -> None:
    endpoint = client.endpoint()
    target = presigned(endpoint, client.chance.choice(("GET", "PUT")), PLAIN, f"{client.prefix}never")
    method = client.chance.choice(("GET", "PUT"))
    with client.interruptible():
        answer = fetch(endpoint, target[:-1] + ("0" if target[-1] != "0" else "1"), method, b"never")
    client.judge("bad signature", answer, allow=("SignatureDoesNotMatch",))
    if answer.status != 403:
        raise Wrong(f"a wrong signature is answered {answer.status}")


def bad_digest(client: Client) -> None:
    key = client.key()
    if key is not None:
        headers = {"content-md5": base64.b64encode(bytes(16)).decode()}
        answer = client.ask("PUT", key, headers=headers, body=client.new_body(1, _SMALL).bytes(), allow=("BadDigest",))
        if answer.status != 400:
            raise Wrong(f"a wrong MD5 is answered {answer.status}")


def preflight(client: Client) -> None:
    endpoint = client.endpoint()
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "PUT"}
    with client.interruptible():
        answer = fetch(endpoint, f"/{PLAIN}/any", "OPTIONS", headers=headers)
    if answer.headers["Access-Control-Allow-Origin"] != ORIGIN:
        raise Wrong(f"a preflight is answered {answer.status}")


def missing(client: Client) -> None:
    answer = client.ask("GET", client.new_key(), allow=("NoSuchKey",))
    if answer.status != 404:
        raise Wrong(f"there is what nobody wrote: {answer.body[:80]!r}")


def abort_upload(client: Client) -> None:
    """Half of an object, and away: nothing may be seen of it."""
    key = client.key(there=False) or f"{client.prefix}never"
    body = client.new_body(2, _LARGE)
    endpoint = client.endpoint()
    with client.interruptible(), closing(connect(endpoint)) as connection:
        connection.putrequest("PUT", presigned(endpoint, "PUT", PLAIN, key))
        connection.putheader("Content-Length", str(body.size))
        connection.endheaders()
        try:
            connection.send(body.bytes()[: client.chance.randrange(body.size)])
        except (BrokenPipeError, ConnectionResetError):
            # The daemon may end, or have enough of it, while it is sent.
            client.gate.pass_through()
    client.look(key)


def abort_download(client: Client) -> None:
    """The head of an answer and a little of its body, and away."""
    key = client.key()
    if key is None:
        return
    endpoint = client.endpoint()
    with client.interruptible(), closing(connect(endpoint)) as connection:
        if client.chance.random() < 0.5:
            connection.connect()
            assert isinstance(connection.sock, socket.socket)
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.request("GET", presigned(endpoint, "GET", PLAIN, key))
        answer = connection.getresponse()
        taken = min(client.kept(key).body.size, client.chance.randrange(_SMALL))
        if answer.read(taken) != client.kept(key).body.bytes()[:taken]:
            raise Wrong(f"the first {taken} bytes of {key}")


def come_and_go(client: Client) -> None:
    """A connection without a request, or with the beginning of one."""
    endpoint = client.endpoint()
    with client.interruptible(), closing(socket.create_connection(("127.0.0.1", endpoint.port), 10)) as connection:
        connection.sendall(client.chance.choice((b"", b"GET / HT", b"\x16\x03", b"GET / HTTP/1.1\r\nHost:")))


def wrong_method(client: Client) -> None:
    """What is no S3 at all."""
    endpoint = client.endpoint()
    with client.interruptible():
        answer = fetch(endpoint, f"/{PLAIN}/{client.prefix}never", "PATCH", b"x")
    if answer.status != http.client.METHOD_NOT_ALLOWED:
        raise Wrong(f"PATCH is answered {answer.status}")


#: What is done, and how often as a share of the whole.
WORK: Sequence[tuple[Callable[[Client], None], int]] = (
    (put, 20),
    (put_large, 3),
    (put_chunked, 4),
    (put_presigned, 4),
    (post_form, 3),
    (copy, 4),
    (put_in_parts, 1),
    (abort_parts, 1),
    (abandon_parts, 1),
    (put_expiring, 3),
    (delete, 6),
    (delete_several, 2),
    (create_only, 4),
    (swap, 4),
    (get, 16),
    (get_range, 8),
    (get_presigned, 4),
    (not_modified, 4),
    (head, 6),
    (list_pages, 5),
    (list_prefixes, 3),
    (put_version, 5),
    (get_version, 4),
    (delete_version, 3),
    (list_versions, 2),
    (tag, 3),
    (make_bucket, 1),
    (bad_signature, 3),
    (bad_digest, 2),
    (preflight, 2),
    (missing, 3),
    (abort_upload, 3),
    (abort_download, 3),
    (come_and_go, 2),
    (wrong_method, 1),
)
