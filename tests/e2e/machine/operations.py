"""What requests are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OF_OBJECTS = {
    ("DELETE", ""): "DeleteObject",
    ("DELETE", "tagging"): "DeleteObjectTagging",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
    ("GET", ""): "GetObject",
    ("GET", "attributes"): "GetObjectAttributes",
    ("GET", "tagging"): "GetObjectTagging",
    ("GET", "uploadId"): "ListParts",
    ("HEAD", ""): "HeadObject",
    ("POST", "uploadId"): "CompleteMultipartUpload",
    ("POST", "uploads"): "CreateMultipartUpload",
    ("PUT", ""): "PutObject",
    ("PUT", "tagging"): "PutObjectTagging",
    ("PUT", "uploadId"): "UploadPart",
}
_OF_BUCKETS = {
    ("GET", ""): "ListObjects",
    ("GET", "list-type"): "ListObjectsV2",
    ("GET", "uploads"): "ListMultipartUploads",
    ("GET", "versions"): "ListObjectVersions",
    ("POST", "delete"): "DeleteObjects",
    ("PUT", ""): "CreateBucket",
    ("PUT", "versioning"): "PutBucketVersioning",
}
_COPIES = {"PutObject": "CopyObject", "UploadPart": "UploadPartCopy"}
_SUBRESOURCES = frozenset(name for _, name in (*_OF_OBJECTS, *_OF_BUCKETS))


def name_of(method: str, key: str, query: Mapping[str, str] = {}, headers: Mapping[str, str] = {}, **_: Any) -> str:
    """The operation that a request asks for."""
    subresource = next((name for name in query if name in _SUBRESOURCES), "")
    name = (_OF_OBJECTS if key else _OF_BUCKETS)[method, subresource]
    return _COPIES.get(name, name) if "x-amz-copy-source" in headers else name
