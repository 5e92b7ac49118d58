"""The listings of objects: ListObjects, ListObjectsV2, ListObjectVersions."""

from __future__ import annotations

from zs3.errors import S3Error
from zs3.store.values import ListQuery, VersionsPage, VersionsQuery
from zs3.store.versionids import parse_marker
from zs3.web import documents
from zs3.web.call import Call
from zs3.web.documents import ListRequest
from zs3.web.headers import check_bucket_owner
from zs3.web.parameters import bounded_number, decode_token, encode_token, encoding_type
from zs3.web.responses import send_xml
from zs3.web.versions import check_version

MAX_KEYS = 1000


def list_request(call: Call, *, limit: str = "max-keys", with_owner: bool = True) -> ListRequest:
    """What all listings have in common.

    :param limit: the name of the parameter that says how many.
    """
    check_bucket_owner(call.header, call.owner.id)
    return ListRequest(
        bucket=call.bucket,
        prefix=call.parameter("prefix") or "",
        delimiter=call.parameter("delimiter") or "",
        limit=bounded_number(call.parameter(limit), limit, default=MAX_KEYS, high=MAX_KEYS),
        encoding_type=encoding_type(call.parameter("encoding-type")),
        access=call.access if with_owner else None,
    )


def _query(request: ListRequest, after: str) -> ListQuery:
    return ListQuery(prefix=request.prefix, delimiter=request.delimiter, after=after, limit=request.limit)


async def list_objects(call: Call) -> None:
    """ListObjects."""
    request = list_request(call)
    marker = call.parameter("marker") or ""
    page = await call.store.list_objects(call.bucket, _query(request, marker), request.entry())
    send_xml(call.request, documents.list_v1(request, page, marker=marker))


async def list_objects_v2(call: Call) -> None:
    """ListObjectsV2."""
    if call.parameter("list-type") != "2":
        raise S3Error(
            "InvalidArgument",
            "Invalid List Type specified in Request",
            ArgumentName="list-type",
            ArgumentValue=call.parameter("list-type") or "",
        )
    request = list_request(call, with_owner=call.parameter("fetch-owner") == "true")
    token = call.parameter("continuation-token")
    start_after = call.parameter("start-after") or ""
    after = decode_token(token) if token else start_after
    page = await call.store.list_objects(call.bucket, _query(request, after), request.entry())
    document = documents.list_v2(
        request,
        page,
        token=token,
        next_token=encode_token(page.last) if page.truncated else "",
        start_after=start_after,
    )
    send_xml(call.request, document)


async def list_object_versions(call: Call) -> None:
    """ListObjectVersions, by which clients also empty buckets that have no versions.

    Source: Amazon S3 API Reference, ListObjectVersions.
    """
    request = list_request(call)
    key_marker = call.parameter("key-marker") or ""
    version_marker = call.parameter("version-id-marker")
    if version_marker is not None and not key_marker:
        raise S3Error(
            "InvalidArgument",
            "A version-id marker cannot be specified without a key marker.",
            ArgumentName="version-id-marker",
            ArgumentValue=version_marker,
        )
    if version_marker:
        check_version(parse_marker(version_marker)[0], "version-id-marker")
    query = VersionsQuery(request.prefix, request.delimiter, key_marker, version_marker or "", request.limit)
    page: VersionsPage = await call.store.list_versions(call.bucket, query, request.version_entry())
    document = documents.list_versions(request, page, key_marker=key_marker, version_marker=version_marker or "")
    send_xml(call.request, document)
