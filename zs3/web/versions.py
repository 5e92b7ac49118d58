"""Versions of objects: how requests name them, what answers say of them, and whether a bucket keeps any.

Sources: Amazon S3 User Guide, "Retaining multiple versions of objects with S3 Versioning", "Working with delete
markers"; API Reference, PutBucketVersioning and GetBucketVersioning.
"""

from __future__ import annotations

import re
from typing import Any

from zs3.errors import S3Error
from zs3.store.values import (
    ENABLED,
    NULL_VERSION,
    OBJECT_LOCK,
    SUSPENDED,
    VERSIONING,
    Configuration,
    DeleteMarkerError,
    Deletion,
)
from zs3.web import xml
from zs3.web.bodies import CONFIGURATION_SIZE
from zs3.web.call import Call
from zs3.web.dates import http_date
from zs3.web.headers import check_bucket_owner
from zs3.web.responses import send_empty, send_xml

VERSION_ID = "x-amz-version-id"
SOURCE_VERSION_ID = "x-amz-copy-source-version-id"
DELETE_MARKER = "x-amz-delete-marker"

#: The parameter of the query that names a version.
PARAMETER = "versionId"

#: What a delete marker has not, however it is named.
_NOT_OF_MARKERS = ("tagging", "retention", "legal-hold")

#: The form of all version ids but `NULL_VERSION`.
_VERSION = re.compile(r"[A-Za-z0-9._]{32}", re.ASCII).fullmatch


# In a request ---------------------------------------------------------------------------------------------------------


def is_version(text: str) -> bool:
    """Whether it has the form of a version id."""
    return text == NULL_VERSION or _VERSION(text) is not None


def check_version(text: str, name: str = PARAMETER) -> str:
    """A version id as a request has it.

    :param name: of what has it.
    :raises S3Error: InvalidArgument for what is none.
    """
    if not is_version(text):
        message = "Invalid version id specified" if text else "Version id cannot be the empty string"
        raise S3Error("InvalidArgument", message, ArgumentName=name, ArgumentValue=text)
    return text


# In an answer ---------------------------------------------------------------------------------------------------------


def version_header(configuration: Configuration, version: str) -> dict[str, str]:
    """The header that tells a version; none in a bucket whose versions were never kept, where a file may have an id
    all the same.

    :param configuration: of the bucket.
    """
    return {VERSION_ID: version} if VERSIONING in configuration else {}


def kept_header(version: str, name: str = VERSION_ID) -> dict[str, str]:
    """The header that tells a version that was uploaded, or was copied from: S3 leaves out `NULL_VERSION` there."""
    return {name: version} if version != NULL_VERSION else {}


def deletion_headers(deletion: Deletion, version: str) -> dict[str, str]:
    """What DeleteObject says of what it did.

    :param version: the id of what was to be removed, "" for none.
    """
    told = {DELETE_MARKER: "true"} if deletion.is_delete_marker else {}
    version = version or deletion.version
    return {**told, VERSION_ID: version} if version else told


def about_marker(error: DeleteMarkerError, method: str, subresource: str) -> DeleteMarkerError:
    """What S3 says of the delete marker that stands where an object was asked for.

    It hides the object from who reads it or its ACL; who changes anything, or asks for tags or a lock, hears that it
    has none.

    :param method: of the request.
    :param subresource: that it is about, "" for none.
    """
    if error.current and (method not in ("GET", "HEAD") or subresource in _NOT_OF_MARKERS):
        error = DeleteMarkerError(error.marker, current=False)
    error.headers |= {DELETE_MARKER: "true", VERSION_ID: error.marker.version}
    if not error.current:
        error.headers |= {"Allow": "DELETE", "Last-Modified": http_date(error.marker.mtime_ns)}
        error.fields["Method"] = method
    return error


# Of a bucket ----------------------------------------------------------------------------------------------------------


async def put_bucket_versioning(call: Call) -> None:
    """PutBucketVersioning."""
    check_bucket_owner(call.header, call.owner.id)
    if call.header("x-amz-mfa") is not None:
        raise _no_mfa("x-amz-mfa")
    wanted = parse_versioning(await call.read_document(CONFIGURATION_SIZE))

    def change(configuration: dict[str, Any]) -> None:
        if wanted == SUSPENDED and OBJECT_LOCK in configuration:
            raise S3Error(
                "InvalidBucketState",
                "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.",
            )
        configuration[VERSIONING] = wanted

    await call.store.change_configuration(call.bucket, change)
    send_empty(call.request, 200)


async def get_bucket_versioning(call: Call) -> None:
    """GetBucketVersioning: of a bucket whose versions were never kept it says nothing."""
    check_bucket_owner(call.header, call.owner.id)
    root = xml.root("VersioningConfiguration")
    root.add_if("Status", (await call.store.get_configuration(call.bucket)).get(VERSIONING))
    send_xml(call.request, root.document())


def parse_versioning(body: bytes) -> str:
    """What a VersioningConfiguration wants: `ENABLED` or `SUSPENDED`.

    :raises S3Error: MalformedXML; IllegalVersioningConfigurationException if it does not say; NotImplemented for MFA
        delete.
    """
    root = xml.parse(body, "VersioningConfiguration", max_elements=8).only("Status", "MfaDelete")
    status, mfa = root.value("Status"), (root.value("MfaDelete") or "Disabled").strip()
    if mfa not in ("Enabled", "Disabled"):
        raise S3Error("MalformedXML")
    if mfa == "Enabled":
        raise _no_mfa("MfaDelete")
    if status is None:
        raise S3Error("IllegalVersioningConfigurationException")
    if status.strip() not in (ENABLED, SUSPENDED):
        raise S3Error("MalformedXML")
    return status.strip()


def _no_mfa(name: str) -> S3Error:
    return S3Error("NotImplemented", "MFA delete is not implemented: there are no such devices.", Header=name)
