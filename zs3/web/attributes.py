"""GetObjectAttributes: what is known of an object and its parts, without its content.

Source: Amazon S3 API Reference, GetObjectAttributes; like S3 for directory buckets it lists the parts of every object
that was made of some, with their checksums where they are known.
"""

from __future__ import annotations

from collections.abc import Sequence

from zs3.auth.access import GET_OBJECT
from zs3.checksums import Checksum
from zs3.errors import S3Error
from zs3.store.values import MAX_PARTS, ObjectInfo
from zs3.web import headers, xml
from zs3.web.call import Call
from zs3.web.conditions import is_not_modified
from zs3.web.dates import http_date
from zs3.web.documents import STANDARD, STORAGE_CLASS, add_checksum
from zs3.web.objects import check_read, part_checksum
from zs3.web.parameters import bounded_number
from zs3.web.responses import send_empty, send_xml
from zs3.web.versions import version_header
from zs3.web.xml import Element

MAX_LISTED = 1000

_HEADER = "x-amz-object-attributes"
_ATTRIBUTES = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")


async def get_object_attributes(call: Call) -> None:
    """GetObjectAttributes."""
    check_read(call)
    wanted = _wanted(call.header(_HEADER))
    limit = bounded_number(call.header("x-amz-max-parts"), "max-parts", default=MAX_LISTED, high=MAX_LISTED)
    marker = bounded_number(call.header("x-amz-part-number-marker"), "part-number-marker", default=0, high=MAX_PARTS)
    info: ObjectInfo = await call.store.get_object_info(call.bucket, call.key, call.version)
    # Both rights are needed.
    call.gate.check(GET_OBJECT, info.attributes)
    version = version_header(call.gate.configuration, info.version)
    if is_not_modified(call.header, info):
        send_empty(call.request, 304, {**headers.not_modified(info), **version})
        return
    root = xml.root("GetObjectAttributesResponse")
    if "ETag" in wanted:
        root.add("ETag", info.etag)
    if "Checksum" in wanted and info.checksum is not None:
        add_checksum(root.add("Checksum"), info.checksum, with_type=True)
    if "ObjectParts" in wanted and info.part_sizes:
        values = await call.store.get_part_checksums(call.bucket, info)
        _add_parts(root.add("ObjectParts"), info, values, marker, limit)
    if "StorageClass" in wanted:
        root.add("StorageClass", info.attributes.headers.get(STORAGE_CLASS, STANDARD))
    if "ObjectSize" in wanted:
        root.add("ObjectSize", info.size)
    send_xml(call.request, root.document(), headers={"Last-Modified": http_date(info.mtime_ns), **version})


def _wanted(text: str | None) -> set[str]:
    """The names that the header lists.  InvalidRequest for none, InvalidArgument for another one."""
    names = {name.strip(" \t") for name in (text or "").split(",")} - {""}
    if not names:
        raise S3Error(
            "InvalidRequest",
            f"The {_HEADER} header specifying the attributes to be retrieved is either missing or empty",
        )
    for name in sorted(names):
        if name not in _ATTRIBUTES:
            raise S3Error(
                "InvalidArgument", "Invalid attribute name specified.", ArgumentName=_HEADER, ArgumentValue=name
            )
    return names


def _add_parts(parent: Element, info: ObjectInfo, values: Sequence[bytes], marker: int, limit: int) -> None:
    sizes = info.part_sizes[marker : marker + limit]
    last = marker + len(sizes)
    parent.add("IsTruncated", last < len(info.part_sizes) and limit > 0)
    parent.add("MaxParts", limit)
    parent.add("NextPartNumberMarker", last if sizes else 0)
    parent.add("PartNumberMarker", marker)
    for number, size in enumerate(sizes, marker + 1):
        part = parent.add("Part")
        checksum: Checksum | None = part_checksum(info, values, number)
        add_checksum(part, checksum)
        part.add("PartNumber", number)
        part.add("Size", size)
    parent.add("PartsCount", len(info.part_sizes))
