"""The XML documents that requests bring: DeleteObjects, CompleteMultipartUpload, CreateBucket, configuration.

Those of ACLs are in `zs3.web.acls`.

Pure.  Strict: what S3's schema does not name is MalformedXML, never passed over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from zs3 import checksums
from zs3.auth.access import BLOCKS, OWNERSHIPS
from zs3.checksums import Checksum
from zs3.errors import S3Error
from zs3.store.values import EMPTY, MAX_PARTS, CompletedPart
from zs3.web import tags, xml
from zs3.web.xml import Node

MAX_DELETES = 1000

#: The most bytes of a document: what it may hold at most, every character escaped, and some room.
DELETE_SIZE = 8 * 1024 * 1024
COMPLETE_SIZE = 8 * 1024 * 1024
CONFIGURATION_SIZE = 64 * 1024

_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII).fullmatch
_ELEMENTS = {"Checksum" + name: name for name in checksums.ALGORITHMS}


@dataclass(frozen=True, slots=True)
class DeleteEntry:
    """One object of DeleteObjects; "" or None where nothing was said."""

    key: str
    version: str = ""
    etag: str | None = None
    size: str | None = None
    modified: str | None = None


@dataclass(frozen=True, slots=True)
class DeleteRequest:
    entries: tuple[DeleteEntry, ...]
    quiet: bool


def parse_delete(body: bytes) -> DeleteRequest:
    """Between 1 and 1000 objects.  MalformedXML."""
    # Only as many elements as that many objects have, and some for the surplus that deserves the same answer.
    root = xml.parse(body, "Delete", max_elements=7 * MAX_DELETES).only("Object", "Quiet")
    entries = tuple(_delete_entry(node) for node in root.each("Object"))
    if not 1 <= len(entries) <= MAX_DELETES:
        raise S3Error("MalformedXML")
    quiet = (root.value("Quiet") or "false").strip().lower()
    if quiet not in ("true", "false"):
        raise S3Error("MalformedXML")
    return DeleteRequest(entries, quiet == "true")


def _delete_entry(node: Node) -> DeleteEntry:
    node.only("Key", "VersionId", "ETag", "Size", "LastModifiedTime")
    key = node.value("Key")
    if not key:
        raise S3Error("MalformedXML")
    return DeleteEntry(
        key, node.value("VersionId") or "", node.value("ETag"), node.value("Size"), node.value("LastModifiedTime")
    )


def parse_complete(body: bytes) -> list[CompletedPart]:
    """The parts as listed, at least one; their order is the store's to judge.  MalformedXML."""
    root = xml.parse(body, "CompleteMultipartUpload", max_elements=8 * MAX_PARTS).only("Part")
    if not root.children:
        raise S3Error("MalformedXML")
    return [_completed_part(node) for node in root.children]


def _completed_part(node: Node) -> CompletedPart:
    number, etag = node.only("PartNumber", "ETag", *_ELEMENTS).value("PartNumber"), node.value("ETag")
    if number is None or etag is None or not _NUMBER(number.strip()):
        raise S3Error("MalformedXML")
    etag = etag.strip()
    if len(etag) >= 2 and etag[0] == etag[-1] == '"':
        etag = etag[1:-1]
    return CompletedPart(int(number.strip()), etag, _part_checksum(node))


def _part_checksum(node: Node) -> Checksum | None:
    for element, algorithm in _ELEMENTS.items():
        text = node.value(element)
        if text is not None:
            value = checksums.decode(algorithm, text.strip())
            if value is None:
                raise S3Error("InvalidRequest", f"Value for {element} is invalid.")
            return Checksum(algorithm, value)
    return None


def parse_new_bucket(body: bytes) -> tuple[str, Mapping[str, str]]:
    """The location constraint of a CreateBucketConfiguration, "" for none, and the tags.

    :raises S3Error: MalformedXML; InvalidTag; NotImplemented for a directory bucket.
    """
    if not body:
        return "", EMPTY
    root = xml.parse(body, "CreateBucketConfiguration", max_elements=256)
    for name in ("Location", "Bucket"):
        if any(True for _ in root.each(name)):
            raise S3Error("NotImplemented", f"{name} in a CreateBucketConfiguration is not implemented.")
    location = (root.only("LocationConstraint", "Tags").value("LocationConstraint") or "").strip()
    return location, tags.checked(tags.pairs_of(root.each("Tags")), tags.MAX_BUCKET_TAGS)


def parse_ownership(body: bytes) -> str:
    """The object ownership that an OwnershipControls says, in its one rule.  MalformedXML."""
    rules = xml.parse(body, "OwnershipControls", max_elements=16).only("Rule").children
    ownership = rules[0].only("ObjectOwnership").value("ObjectOwnership") if len(rules) == 1 else None
    if ownership is None or ownership.strip() not in OWNERSHIPS:
        raise S3Error("MalformedXML")
    return ownership.strip()


def parse_public_access_block(body: bytes, namespace: str = xml.NAMESPACE) -> list[str]:
    """What a PublicAccessBlockConfiguration turns on; what it does not name is off.  MalformedXML."""
    root = xml.parse(body, "PublicAccessBlockConfiguration", max_elements=16, namespace=namespace).only(*BLOCKS)
    said = {name: (root.value(name) or "false").strip().lower() for name in BLOCKS}
    if any(value not in ("true", "false") for value in said.values()):
        raise S3Error("MalformedXML")
    return [name for name in BLOCKS if said[name] == "true"]
