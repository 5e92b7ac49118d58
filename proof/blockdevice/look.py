"""All that clients can see of a store, as the registers of a `Ledger`: of one in this process, and of a daemon."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from proof.blockdevice.ledger import MARKER, THERE, Content, Register, Value
from tests.contract.support import Client, fired
from tests.e2e.signed import Client as HttpClient
from tests.e2e.signed import elements, texts
from zs3.store.values import VERSIONING, ObjectInfo

_MANY = 1000


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def _content(info: ObjectInfo, data: bytes) -> Content:
    return Content(
        digest(data), info.etag, _pairs(info.attributes.metadata.items()), _pairs(info.attributes.tags.items())
    )


def _pairs(items: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(items))


def look(client: Client) -> dict[Register, Value]:
    """Of a store in this process."""
    seen: dict[Register, Value] = {}
    for bucket in fired(client.store.list_buckets()):
        name = bucket.name
        seen[Register("bucket", name)] = THERE
        for key in client.listed(name):
            seen[Register("object", name, key)] = _content(client.info(key, name), client.get(key, name))
        if VERSIONING in bucket.configuration:
            for info, _ in client.versions(name):
                seen[Register("version", name, info.key, info.version)] = (
                    MARKER if info.is_delete_marker else _content(info, client.get(info.key, name, info.version))
                )
        options: dict[str, Any] = {"prefix": "", "delimiter": "", "key_marker": "", "upload_id_marker": ""}
        for upload in fired(client.store.list_uploads(name, **options, limit=_MANY)).uploads:
            seen[Register("upload", name, upload.key, upload.upload_id)] = THERE
            work = client.store.list_parts(name, upload.key, upload.upload_id, after=0, limit=_MANY)
            for part in fired(work).parts:
                seen[Register("part", name, upload.key, upload.upload_id, part.number)] = part.etag
    return seen


def ask(client: HttpClient) -> dict[Register, Value]:
    """Of a daemon."""
    seen: dict[Register, Value] = {}

    def get(path: str, query: dict[str, str] | None = None) -> Any:
        answer = client("GET", path, query)
        assert answer.status == 200, (path, query, answer.status, answer.body)
        return answer

    def content(bucket: str, key: str, version: dict[str, str]) -> Content:
        answer = get(f"/{bucket}/{key}", version)
        tags = elements(get(f"/{bucket}/{key}", version | {"tagging": ""}).body)
        return Content(
            digest(answer.body),
            answer.headers["etag"].strip('"'),
            _pairs((k.lower()[11:], v) for k, v in answer.headers.items() if k.lower().startswith("x-amz-meta-")),
            _pairs((k, v) for k, v in (texts(each, "Key", "Value") for each in tags.iter("Tag"))),
        )

    for found in elements(get("/").body).iter("Bucket"):
        [bucket] = texts(found, "Name")
        seen[Register("bucket", bucket)] = THERE
        for each in elements(get(f"/{bucket}", {"list-type": "2"}).body).iter("Contents"):
            [key] = texts(each, "Key")
            seen[Register("object", bucket, key)] = content(bucket, key, {})
        if elements(get(f"/{bucket}", {"versioning": ""}).body).findtext("Status"):
            for each in elements(get(f"/{bucket}", {"versions": ""}).body).iter("Version", "DeleteMarker"):
                key, version = texts(each, "Key", "VersionId")
                marker = each.tag == "DeleteMarker"
                seen[Register("version", bucket, key, version)] = (
                    MARKER if marker else content(bucket, key, {"versionId": version})
                )
        for each in elements(get(f"/{bucket}", {"uploads": ""}).body).iter("Upload"):
            key, upload = texts(each, "Key", "UploadId")
            seen[Register("upload", bucket, key, upload)] = THERE
            for part in elements(get(f"/{bucket}/{key}", {"uploadId": upload}).body).iter("Part"):
                number, etag = texts(part, "PartNumber", "ETag")
                seen[Register("part", bucket, key, upload, int(number))] = etag.strip('"')
    return seen
