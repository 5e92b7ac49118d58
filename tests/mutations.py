"""Every operation that changes something, as requests, and all that clients see of what it changes.

Faults happen to these by three ways: a process that ends at one of its calls (`tests.crashes`), a call of the real
daemon that fails (`tests.e2e.injection`), and a disk that is full (`proof.diskfull`).  Each time it is held against
what is seen before and after without any.

Each is done in a bucket of its own, so none has to be undone.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from lxml import etree

from tests.forms import CONTENT_TYPE, conditions_for, document, form, signed
from tests.unit.signing import encode_chunks, sign_header
from zs3.auth.accounts import DEFAULT, account_id, canonical_id
from zs3.auth.users import User

REGION = "us-east-1"
#: The target of notifications that who serves must have.
TARGET = "hook"

OLD = b"old" * 3000
NEW = b"new" * 4000
LARGE = b"large" * 300_000
PART = b"part." * 1_100_000
#: Too long for an attribute: it goes to a sidecar.
LONG = {"x-amz-meta-long": "v" * 1900, "x-amz-tagging": "&".join(f"{n}={'t' * 200}" for n in range(8))}
FAR = "2099-01-01T00:00:00Z"


class Answer(Protocol):
    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Any: ...
    @property
    def body(self) -> bytes: ...


#: Sends a request as it is: method, target, headers, body.
Send = Callable[[str, str, dict[str, str], bytes], Answer]


class RefusedError(AssertionError):
    """A request that nothing should have happened to has failed."""


class Client:
    """Signs requests.

    :ivar user: whose they are: an administrator.
    """

    def __init__(self, send: Send, host: str, user: User) -> None:
        self._send, self._host, self.user = send, host, user

    def __call__(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        *,
        payload: str = "UNSIGNED-PAYLOAD",
    ) -> Answer:
        """:param payload: what is said of the body's hash."""
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        quoted = quote(path, safe="/~")
        pairs = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in (query or {}).items())
        canonical = "&".join(f"{name}={value}" for name, value in pairs)
        lower = {name.lower(): value for name, value in (headers or {}).items()}
        whole = sign_header(
            method,
            quoted,
            canonical,
            {"host": self._host, "content-length": str(len(body))} | lower,
            payload=payload,
            secret=self.user.secret_key,
            access_key=self.user.access_key,
            timestamp=now,
            scope=f"{now[:8]}/{REGION}/s3/aws4_request",
        )
        return self._send(method, f"{quoted}?{canonical}" if canonical else quoted, whole, body)

    def unsigned(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        return self._send(method, path, {"host": self._host, "content-length": str(len(body)), **headers}, body)

    def must(self, *args: Any, **kwargs: Any) -> Answer:
        """A request that succeeds."""
        answer = self(*args, **kwargs)
        if failure(answer):
            raise RefusedError(f"{args[:3]}: {answer.status} {answer.body.decode()}")
        return answer


_CODE = re.compile(rb"<Error>.*?<Code>(\w+)</Code>", re.DOTALL)


def failure(answer: Answer) -> str:
    """The code of the first S3 error that an answer tells, be its status what it may; "" if it tells of success."""
    found = _CODE.search(answer.body)
    if found:
        return found[1].decode()
    return "" if answer.status < 300 else str(answer.status)


def _md5(body: bytes) -> dict[str, str]:
    return {"Content-MD5": base64.b64encode(hashlib.md5(body).digest()).decode()}


def _put(
    client: Client, bucket: str, key: str = "key", body: bytes = NEW, headers: dict[str, str] | None = None
) -> Answer:
    return client("PUT", f"/{bucket}/{key}", None, _md5(body) | (headers or {}), body)


def _version(answer: Answer) -> str:
    return str(answer.headers.get("x-amz-version-id"))


# What is there before -------------------------------------------------------------------------------------------------


def _configure(client: Client, bucket: str, query: str, body: bytes) -> Answer:
    return client("PUT", f"/{bucket}", {query: ""}, _md5(body), body)


def _versioning(client: Client, bucket: str, status: str) -> Answer:
    body = f"<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>"
    return _configure(client, bucket, "versioning", body.encode())


def plain(client: Client, bucket: str) -> Any:
    """A bucket with objects, that was never configured."""
    client.must("PUT", f"/{bucket}")
    for key, headers in (("key", {}), ("dir/a/b", {}), ("long", LONG), ("other", {"x-amz-meta-a": "b"})):
        client.must("PUT", f"/{bucket}/{key}", None, headers, OLD)


def nothing(client: Client, bucket: str) -> Any:
    """No bucket."""


def empty(client: Client, bucket: str) -> Any:
    client.must("PUT", f"/{bucket}")


def versioned(client: Client, bucket: str) -> Any:
    """A bucket that keeps versions, of which ``key`` has two; gives the ids of both, and of a delete marker."""
    plain(client, bucket)
    client.must("PUT", f"/{bucket}/null", None, None, OLD)
    assert _versioning(client, bucket, "Enabled").status == 200
    older, newer = (_version(client.must("PUT", f"/{bucket}/key", None, None, body)) for body in (OLD + b"2", OLD))
    marker = _version(client.must("DELETE", f"/{bucket}/dir/a/b"))
    return older, newer, marker


def suspended(client: Client, bucket: str) -> Any:
    versioned(client, bucket)
    assert _versioning(client, bucket, "Suspended").status == 200


def locked(client: Client, bucket: str) -> Any:
    """A bucket with Object Lock; gives the id of the version of ``key``."""
    client.must("PUT", f"/{bucket}", None, {"x-amz-bucket-object-lock-enabled": "true"})
    client.must("PUT", f"/{bucket}/other", None, _md5(OLD), OLD)
    return _version(client.must("PUT", f"/{bucket}/key", None, _md5(OLD), OLD))


def shared(client: Client, bucket: str) -> Any:
    """A bucket with access control lists."""
    plain(client, bucket)
    assert _owned(client, bucket).status == 200


def begun(*pieces: bytes) -> Callable[[Client, str], Any]:
    """An upload of ``key`` with these parts; gives its id and the document that completes it."""

    def prepare(client: Client, bucket: str) -> Any:
        plain(client, bucket)
        upload = _upload_id(client.must("POST", f"/{bucket}/key", {"uploads": ""}))
        xml = ""
        for number, piece in enumerate(pieces, 1):
            query = {"uploadId": upload, "partNumber": str(number)}
            etag = client.must("PUT", f"/{bucket}/key", query, None, piece).headers.get("etag")
            xml += f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        return upload, f"<CompleteMultipartUpload>{xml}</CompleteMultipartUpload>".encode()

    return prepare


def _upload_id(answer: Answer) -> str:
    found = re.search(rb"<UploadId>(\w+)</UploadId>", answer.body)
    assert found
    return found[1].decode()


def configured(query: str, body: bytes) -> Callable[[Client, str], Any]:
    """A bucket with a sub-resource."""

    def prepare(client: Client, bucket: str) -> Any:
        plain(client, bucket)
        answer = _configure(client, bucket, query, body)
        assert not failure(answer), answer.body

    return prepare


def tagged(client: Client, bucket: str) -> Any:
    plain(client, bucket)
    client.must("PUT", f"/{bucket}/key", {"tagging": ""}, None, TAGGING)


# The operations -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mutation:
    """An operation, in one of the cases that differ.

    :ivar prepare: makes a bucket as it is before; what it gives is given to `run`.
    :ivar apart: of many things, of which each may have changed or not when the operation has failed.
    :ivar halfway: completes an upload, whose parts are not listed meanwhile.
    """

    name: str
    prepare: Callable[[Client, str], Any]
    run: Callable[[Client, str, Any], Answer]
    apart: bool = False
    halfway: bool = False


TAGGING = (
    b"<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag>"
    b"<Tag><Key>b</Key><Value>2</Value></Tag></TagSet></Tagging>"
)
LONG_TAGGING = (
    b"<Tagging><TagSet>"
    + b"".join(b"<Tag><Key>%d</Key><Value>%b</Value></Tag>" % (number, b"v" * 256) for number in range(10))
    + b"</TagSet></Tagging>"
)
BLOCK = b"<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>"
_OWNERSHIP = (
    b"<OwnershipControls><Rule><ObjectOwnership>BucketOwnerPreferred</ObjectOwnership></Rule></OwnershipControls>"
)
#: Of buckets: the sub-resource, the operations that put and delete it (None: there is none), a document.
SUBRESOURCES: tuple[tuple[str, str, str | None, bytes], ...] = (
    (
        "cors", "PutBucketCors", "DeleteBucketCors",
        (b"<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>"
        b"</CORSConfiguration>"),
    ),
    (
        "website", "PutBucketWebsite", "DeleteBucketWebsite",
        b"<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument></WebsiteConfiguration>",
    ),
    (
        "lifecycle", "PutBucketLifecycleConfiguration", "DeleteBucketLifecycle",
        (b"<LifecycleConfiguration><Rule><ID>r</ID><Filter><Prefix>logs/</Prefix></Filter><Status>Enabled</Status>"
        b"<Expiration><Days>3</Days></Expiration></Rule></LifecycleConfiguration>"),
    ),
    (
        "notification", "PutBucketNotificationConfiguration", None,
        (b"<NotificationConfiguration><QueueConfiguration><Id>q</Id><Queue>arn:aws:sqs:us-east-1:000000000000:hook"
        b"</Queue><Event>s3:ObjectCreated:*</Event></QueueConfiguration></NotificationConfiguration>"),
    ),
    ("tagging", "PutBucketTagging", "DeleteBucketTagging", TAGGING),
    ("ownershipControls", "PutBucketOwnershipControls", "DeleteBucketOwnershipControls", _OWNERSHIP),
    ("publicAccessBlock", "PutPublicAccessBlock", "DeletePublicAccessBlock", BLOCK),
    ("policy", "PutBucketPolicy", "DeleteBucketPolicy", b""),
)  # fmt: skip


def _policy(bucket: str) -> bytes:
    return (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:GetObject",'
        f'"Resource":"arn:aws:s3:::{bucket}/secret/*"}}]}}'
    ).encode()


def _put_policy(client: Client, bucket: str, _: Any = None) -> Answer:
    return _configure(client, bucket, "policy", _policy(bucket))


def _with_policy(client: Client, bucket: str) -> Any:
    plain(client, bucket)
    assert _put_policy(client, bucket).status in (200, 204)


def _put_configuration(query: str, body: bytes) -> Callable[[Client, str, Any], Answer]:
    return lambda client, bucket, _: _configure(client, bucket, query, body)


def _delete_configuration(query: str) -> Callable[[Client, str, Any], Answer]:
    return lambda client, bucket, _: client("DELETE", f"/{bucket}", {query: ""})


def _of_subresources() -> list[Mutation]:
    found = []
    for query, put, delete, body in SUBRESOURCES:
        of_policy = query == "policy"
        found.append(Mutation(put, plain, _put_policy if of_policy else _put_configuration(query, body)))
        if delete:
            prepare = _with_policy if of_policy else configured(query, body)
            found.append(Mutation(delete, prepare, _delete_configuration(query)))
    return found


def _owned(client: Client, bucket: str, _: Any = None) -> Answer:
    return _configure(client, bucket, "ownershipControls", _OWNERSHIP)


def _set_acl(key: str) -> Callable[[Client, str, Any], Answer]:
    grant = {"x-amz-grant-read": f'id="{canonical_id(DEFAULT)}"'}
    return lambda client, bucket, _: client("PUT", f"/{bucket}{key}", {"acl": ""}, grant)


def _account(client: Client, method: str, body: bytes = b"") -> Answer:
    headers = {"x-amz-account-id": account_id(DEFAULT)}
    return client(method, "/v20180820/configuration/publicAccessBlock", None, headers, body)


def _unblocked(client: Client, bucket: str) -> Any:
    _account(client, "DELETE")
    plain(client, bucket)


def _blocked(client: Client, bucket: str) -> Any:
    assert _account(client, "PUT", BLOCK).status == 200
    plain(client, bucket)


def _chunked(client: Client, bucket: str, _: Any) -> Answer:
    body = encode_chunks([NEW[:8192], NEW[8192:]], trailers=[("x-amz-checksum-sha256", _sha256(NEW))])
    headers = {
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": str(len(NEW)),
        "x-amz-trailer": "x-amz-checksum-sha256",
    }
    return client("PUT", f"/{bucket}/key", None, headers, body, payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER")


def _sha256(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def _post(client: Client, bucket: str, _: Any) -> Answer:
    fields = {"key": "key", "x-amz-meta-k": "v"}
    policy = document([*conditions_for(fields, bucket)])
    body = form(signed(fields, policy, client.user), NEW)
    return client.unsigned("POST", f"/{bucket}", {"content-type": CONTENT_TYPE}, body)


def _copy(source: str, key: str = "key", **headers: str) -> Callable[[Client, str, Any], Answer]:
    more = {"x-amz-" + name.replace("_", "-"): value for name, value in headers.items()}
    return lambda client, bucket, _: client(
        "PUT", f"/{bucket}/{key}", None, {"x-amz-copy-source": f"/{bucket}/{source}"} | more
    )


def _delete(key: str) -> Callable[[Client, str, Any], Answer]:
    return lambda client, bucket, _: client("DELETE", f"/{bucket}/{key}")


def _remove(which: int, key: str) -> Callable[[Client, str, Any], Answer]:
    """Remove a version that `versioned` has made."""
    return lambda client, bucket, made: client("DELETE", f"/{bucket}/{key}", {"versionId": made[which]})


def _delete_many(*keys: str) -> Callable[[Client, str, Any], Answer]:
    body = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
    body = f"<Delete>{body}</Delete>"
    return lambda client, bucket, _: client("POST", f"/{bucket}", {"delete": ""}, _md5(body.encode()), body.encode())


def _tag(body: bytes) -> Callable[[Client, str, Any], Answer]:
    return lambda client, bucket, _: client("PUT", f"/{bucket}/key", {"tagging": ""}, None, body)


def _part(number: int, body: bytes) -> Callable[[Client, str, Any], Answer]:
    return lambda client, bucket, upload: client(
        "PUT", f"/{bucket}/key", {"uploadId": upload[0], "partNumber": str(number)}, None, body
    )


def _complete(client: Client, bucket: str, upload: Any) -> Answer:
    return client("POST", f"/{bucket}/key", {"uploadId": upload[0]}, None, upload[1])


MUTATIONS: tuple[Mutation, ...] = (
    Mutation("PutObject", plain, lambda client, bucket, _: _put(client, bucket, headers={"x-amz-meta-k": "v"})),
    Mutation(
        "PutObject, large, created in new directories", plain,
        lambda client, bucket, _: _put(client, bucket, "new/deep/key", LARGE, {"If-None-Match": "*"}),
    ),
    Mutation("PutObject of a long record", plain, lambda client, bucket, _: _put(client, bucket, headers=LONG)),
    Mutation("PutObject over a long record", plain, lambda client, bucket, _: _put(client, bucket, "long")),
    Mutation("PutObject that displaces", plain, lambda client, bucket, _: _put(client, bucket, "key/below")),
    Mutation("PutObject beside a directory", plain, lambda client, bucket, _: _put(client, bucket, "dir")),
    Mutation(
        "PutObject if it matches", plain,
        lambda client, bucket, _: _put(client, bucket, headers={"If-Match": hashlib.md5(OLD).hexdigest()}),
    ),
    Mutation("PutObject, aws-chunked", plain, _chunked),
    Mutation("PutObject of a version", versioned, lambda client, bucket, _: _put(client, bucket)),
    Mutation("PutObject over a delete marker", versioned, lambda client, bucket, _: _put(client, bucket, "dir/a/b")),
    Mutation("PutObject of a null version", suspended, lambda client, bucket, _: _put(client, bucket)),
    Mutation("PutObject over a null version", suspended, lambda client, bucket, _: _put(client, bucket, "null")),
    Mutation(
        "PutObject that is locked", locked,
        lambda client, bucket, _: _put(
            client, bucket,
            headers={"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": FAR},
        ),
    ),
    Mutation("PostObject", plain, _post),
    Mutation("CopyObject", plain, _copy("other")),
    Mutation("CopyObject in new directories", plain, _copy("long", "new/deep/copy")),
    Mutation(
        "CopyObject onto itself", versioned, _copy("key", metadata_directive="REPLACE", meta_new="1")
    ),
    Mutation("DeleteObject", plain, _delete("key")),
    Mutation("DeleteObject with its directories", plain, _delete("dir/a/b")),
    Mutation("DeleteObject of a long record", plain, _delete("long")),
    Mutation("DeleteObject by a marker", versioned, _delete("key")),
    Mutation("DeleteObject by a null marker", suspended, _delete("null")),
    Mutation("DeleteObject of the current version", versioned, _remove(1, "key")),
    Mutation("DeleteObject of an older version", versioned, _remove(0, "key")),
    Mutation("DeleteObject of a marker", versioned, _remove(2, "dir/a/b")),
    Mutation("DeleteObjects", plain, _delete_many("key", "dir/a/b", "long"), apart=True),
    Mutation("DeleteObjects by markers", versioned, _delete_many("key", "long", "null"), apart=True),
    Mutation("PutObjectTagging", plain, _tag(TAGGING)),
    Mutation("PutObjectTagging, long", plain, _tag(LONG_TAGGING)),
    Mutation(
        "PutObjectTagging of an older version", versioned,
        lambda client, bucket, made: client(
            "PUT", f"/{bucket}/key", {"tagging": "", "versionId": made[0]}, None, TAGGING
        ),
    ),
    Mutation(
        "DeleteObjectTagging", tagged, lambda client, bucket, _: client("DELETE", f"/{bucket}/key", {"tagging": ""})
    ),
    Mutation(
        "PutObjectRetention", locked,
        lambda client, bucket, _: client(
            "PUT", f"/{bucket}/key", {"retention": ""}, None,
            f"<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>{FAR}</RetainUntilDate></Retention>".encode(),
        ),
    ),
    Mutation(
        "PutObjectLegalHold", locked,
        lambda client, bucket, _: client(
            "PUT", f"/{bucket}/key", {"legal-hold": ""}, None, b"<LegalHold><Status>ON</Status></LegalHold>"
        ),
    ),
    Mutation("PutObjectAcl", shared, _set_acl("/key")),
    Mutation(
        "CreateMultipartUpload", plain,
        lambda client, bucket, _: client("POST", f"/{bucket}/new/key", {"uploads": ""}, {"x-amz-meta-k": "v"}),
    ),
    Mutation("UploadPart", begun(OLD), _part(2, LARGE)),
    Mutation("UploadPart again", begun(OLD), _part(1, NEW)),
    Mutation(
        "UploadPartCopy", begun(OLD),
        lambda client, bucket, upload: client(
            "PUT", f"/{bucket}/key", {"uploadId": upload[0], "partNumber": "2"},
            {"x-amz-copy-source": f"/{bucket}/other", "x-amz-copy-source-range": "bytes=1-8000"},
        ),
    ),
    Mutation("CompleteMultipartUpload", begun(PART, NEW), _complete, halfway=True),
    Mutation("CompleteMultipartUpload of one part", begun(NEW), _complete, halfway=True),
    Mutation(
        "AbortMultipartUpload", begun(OLD, NEW),
        lambda client, bucket, upload: client("DELETE", f"/{bucket}/key", {"uploadId": upload[0]}),
    ),
    Mutation("CreateBucket", nothing, lambda client, bucket, _: client("PUT", f"/{bucket}")),
    Mutation(
        "CreateBucket with Object Lock", nothing,
        lambda client, bucket, _: client("PUT", f"/{bucket}", None, {"x-amz-bucket-object-lock-enabled": "true"}),
    ),
    Mutation("DeleteBucket", empty, lambda client, bucket, _: client("DELETE", f"/{bucket}")),
    Mutation("PutBucketVersioning", plain, lambda client, bucket, _: _versioning(client, bucket, "Enabled")),
    Mutation(
        "PutBucketVersioning, suspended", versioned, lambda client, bucket, _: _versioning(client, bucket, "Suspended")
    ),
    Mutation(
        "PutObjectLockConfiguration", locked,
        _put_configuration(
            "object-lock",
            b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>"
            b"<Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>",
        ),
    ),
    Mutation("PutBucketAcl", shared, _set_acl("")),
    *_of_subresources(),
    Mutation("PutAccountPublicAccessBlock", _unblocked, lambda client, *_: _account(client, "PUT", BLOCK)),
    Mutation("DeleteAccountPublicAccessBlock", _blocked, lambda client, *_: _account(client, "DELETE")),
)  # fmt: skip


# What is seen ---------------------------------------------------------------------------------------------------------

#: Another's names and times; what is listed of them is in the answers to who asks for it.
_CHANGING = re.compile(rb"<(LastModified|CreationDate|Initiated|RequestId|HostId|Resource|UploadId)>[^<]*</\1>")
_HEADERS = (
    *("etag", "content-type", "x-amz-meta-k", "x-amz-meta-long", "x-amz-meta-a", "x-amz-tagging-count"),
    *(
        "x-amz-object-lock-mode",
        "x-amz-object-lock-retain-until-date",
        "x-amz-object-lock-legal-hold",
        "x-amz-meta-new",
    ),
)
_BUCKET_READS = (
    *("versioning", "object-lock", "acl", "policyStatus"),
    *(query for query, *_ in SUBRESOURCES),
)


def view(client: Client, bucket: str, *, halfway: bool = False) -> dict[Any, Any]:
    """All that clients see of a bucket, by name, but for its own name and what is another each time.

    :param halfway: uploads are passed over.
    :raises AssertionError: answers do not agree with each other.
    """
    seen: dict[Any, Any] = {"account": _read(client, bucket, _account(client, "GET"))}
    if client("HEAD", f"/{bucket}").status == 404:
        return seen
    seen["bucket"] = True
    for query in _BUCKET_READS:
        seen[query] = _read(client, bucket, client("GET", f"/{bucket}", {query: ""}))
    listed = _elements(client.must("GET", f"/{bucket}", {"list-type": "2"}))
    for each in listed.iterfind("Contents"):
        key = each.findtext("Key") or ""
        seen["object", key] = found = _object(client, bucket, key)
        told = each.findtext("ETag"), each.findtext("Size")
        assert told == (found[1][0], str(found[2])), f"{key} is listed as {told}, and is {found}"
    for key in ("key", "new/deep/key", "new/deep/copy", "key/below", "dir", "dir/a/b", "long", "null"):
        if ("object", key) not in seen:
            status = client("GET", f"/{bucket}/{key}").status
            assert status == 404, f"{key} is not listed, and answered {status}"
    for each in _elements(client.must("GET", f"/{bucket}", {"versions": ""})):
        if each.tag in ("Version", "DeleteMarker"):
            key, version = each.findtext("Key") or "", each.findtext("VersionId") or ""
            latest = each.findtext("IsLatest")
            found = () if each.tag == "DeleteMarker" else _object(client, bucket, key, version)
            seen.setdefault(("versions", key), []).append((each.tag, latest, version == "null", found))
            if each.tag == "Version" and latest == "true":
                assert seen["object", key] == found, f"the current version of {key} is not what it is"
    if not halfway:
        uploads = _elements(client.must("GET", f"/{bucket}", {"uploads": ""}))
        for each in uploads.iterfind("Upload"):
            key, upload = each.findtext("Key") or "", each.findtext("UploadId") or ""
            parts = _elements(client.must("GET", f"/{bucket}/{key}", {"uploadId": upload}))
            found = [
                tuple(part.findtext(name) for name in ("PartNumber", "ETag", "Size")) for part in parts.iterfind("Part")
            ]
            seen.setdefault(("uploads", key), []).append(found)
    return seen


def _read(client: Client, bucket: str, answer: Answer) -> tuple[int, bytes]:
    assert answer.status < 500, answer.body
    body = _CHANGING.sub(b"", answer.body).replace(bucket.encode(), b"BUCKET")
    return answer.status, body.replace(canonical_id(DEFAULT).encode(), b"OWNER")


def _object(client: Client, bucket: str, key: str, version: str = "") -> tuple[Any, ...]:
    query = {"versionId": version} if version else None
    answer = client.must("GET", f"/{bucket}/{key}", query)
    tags = client.must("GET", f"/{bucket}/{key}", {"tagging": "", **(query or {})})
    acl = client.must("GET", f"/{bucket}/{key}", {"acl": "", **(query or {})})
    headers = tuple(answer.headers.get(name) for name in _HEADERS)
    digest = hashlib.md5(answer.body).hexdigest()
    return digest, headers, len(answer.body), tags.body, acl.body


def _elements(answer: Answer) -> etree._Element:
    root = etree.fromstring(answer.body)
    for each in root.iter():
        each.tag = etree.QName(each).localname
    return root
