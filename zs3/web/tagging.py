"""The operations on the tags of objects and buckets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zs3.errors import S3Error
from zs3.events.rules import TAGS_DELETED, TAGS_PUT
from zs3.store.values import Attributes, ObjectInfo
from zs3.web.announcing import announce
from zs3.web.call import Call
from zs3.web.headers import check_bucket_owner
from zs3.web.responses import send_empty, send_xml
from zs3.web.tags import MAX_BUCKET_TAGS, SIZE, document, parse_tagging
from zs3.web.versions import version_header

_TAGS = "tags"


def configured(tags: Mapping[str, str]) -> dict[str, Any]:
    """A bucket's tags as they are in its configuration."""
    return {_TAGS: [list(pair) for pair in tags.items()]} if tags else {}


def _version(call: Call, info: ObjectInfo) -> dict[str, str]:
    return version_header(call.gate.configuration, info.version)


async def get_object_tagging(call: Call) -> None:
    """GetObjectTagging."""
    check_bucket_owner(call.header, call.owner.id)
    info: ObjectInfo = await call.store.get_object_info(call.bucket, call.key, call.version)
    send_xml(call.request, document(info.attributes.tags.items()), headers=_version(call, info))


async def put_object_tagging(call: Call) -> None:
    """PutObjectTagging: in place of all tags that there are."""
    check_bucket_owner(call.header, call.owner.id)
    tags = parse_tagging(await call.read_document(SIZE))
    call.gate.request_tags = tags

    def change(info: ObjectInfo) -> Attributes:
        return replace(info.attributes, tags=tags)

    info: ObjectInfo = await call.store.change_object(call.bucket, call.key, change, call.version)
    await announce(call, TAGS_PUT, info)
    send_empty(call.request, 200, _version(call, info))


async def delete_object_tagging(call: Call) -> None:
    """DeleteObjectTagging."""
    check_bucket_owner(call.header, call.owner.id)

    def change(info: ObjectInfo) -> Attributes:
        return replace(info.attributes, tags={})

    info: ObjectInfo = await call.store.change_object(call.bucket, call.key, change, call.version)
    await announce(call, TAGS_DELETED, info)
    send_empty(call.request, 204, _version(call, info))


async def get_bucket_tagging(call: Call) -> None:
    """GetBucketTagging."""
    check_bucket_owner(call.header, call.owner.id)
    pairs = (await call.store.get_configuration(call.bucket)).get(_TAGS)
    if not pairs:
        raise S3Error("NoSuchTagSet", BucketName=call.bucket)
    send_xml(call.request, document(pairs))


async def put_bucket_tagging(call: Call) -> None:
    """PutBucketTagging: in place of all tags that there are."""
    check_bucket_owner(call.header, call.owner.id)
    tags = configured(parse_tagging(await call.read_document(SIZE), MAX_BUCKET_TAGS))

    def change(configuration: dict[str, Any]) -> None:
        configuration.pop(_TAGS, None)
        configuration.update(tags)

    await call.store.change_configuration(call.bucket, change)
    send_empty(call.request, 204)


async def delete_bucket_tagging(call: Call) -> None:
    """DeleteBucketTagging."""
    check_bucket_owner(call.header, call.owner.id)
    await call.unconfigure(_TAGS)
    send_empty(call.request, 204)
