"""THE table of operations: how a request is recognised, what it needs, and who serves it.

Authorisation, the names in the access log and the documentation's list of what
is supported all come from here.  What is not in it is refused, never guessed:
a `PUT` with a sub-resource nobody knows must not overwrite the object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from zs3.errors import S3Error
from zs3.web import (
    attributes,
    buckets,
    control,
    copies,
    crossorigin,
    deletes,
    lifecycle,
    listening,
    listings,
    locking,
    notifications,
    objects,
    ownership,
    policies,
    posts,
    sites,
    tagging,
    untouched,
    uploads,
    versions,
)
from zs3.web.call import Handler
from zs3.web.copies import COPY_SOURCE
from zs3.web.headers import OVERRIDES

SERVICE, ACCOUNT, BUCKET, OBJECT = "service", "account", "bucket", "object"
READ, WRITE = "read", "write"


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of the Amazon S3 API.

    :ivar name: in S3's words; of those of S3 Control in those of its events in AWS CloudTrail.
    :ivar level: what its path names: `SERVICE`, `BUCKET` or `OBJECT`; `ACCOUNT` for the API of S3 Control.
    :ivar access: whether it changes anything: `READ` or `WRITE`.
    :ivar iam: the action of IAM that `zs3.auth.access` is asked for; of a request that names a version by its id,
        see `zs3.auth.access.on_version`.
    :ivar query: the sub-resource, a query parameter that is there only for this; "" for none.
    :ivar header: a request header that must be there; "" for none.
    :ivar parameters: the other query parameters it knows.
    :ivar refusal: the code of the error that it always ends with; "" for one that does something.
    """

    name: str
    method: str
    level: str
    access: str
    iam: str
    handler: Handler
    query: str = ""
    header: str = ""
    parameters: frozenset[str] = frozenset()
    refusal: str = ""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Of all listings of objects: a client that sends those of another version, empty, means no sub-resource by it.
_LIST = _names(
    "prefix delimiter max-keys encoding-type marker continuation-token start-after fetch-owner key-marker"
    " version-id-marker"
)
_READ_OBJECT = _names("versionId partNumber") | OVERRIDES.keys()
_PART = _names("partNumber")
_VERSION = _names("versionId")


def _of_untouched() -> Iterator[Operation]:
    for level, entries, parameters in (
        (BUCKET, untouched.BUCKET, frozenset[str]()),
        (OBJECT, untouched.OBJECT, _VERSION),
    ):
        for query, entry in entries.items():
            read, action = untouched.reader(entry), "s3:" + entry.read_action
            yield Operation(entry.read, "GET", level, READ, action, read, query, "", parameters)
            if entry.remove:
                action = "s3:" + entry.remove_action
                yield Operation(entry.remove, "DELETE", level, WRITE, action, untouched.remove, query, "", parameters)


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "ListBuckets", "GET", SERVICE, READ, "s3:ListAllMyBuckets", buckets.list_buckets,
        parameters=_names("prefix max-buckets continuation-token bucket-region"),
    ),
    Operation(
        "GetAccountPublicAccessBlock", "GET", ACCOUNT, READ, "s3:GetAccountPublicAccessBlock",
        control.get_public_access_block,
    ),
    Operation(
        "PutAccountPublicAccessBlock", "PUT", ACCOUNT, WRITE, "s3:PutAccountPublicAccessBlock",
        control.put_public_access_block,
    ),
    Operation(
        "DeleteAccountPublicAccessBlock", "DELETE", ACCOUNT, WRITE, "s3:PutAccountPublicAccessBlock",
        control.delete_public_access_block,
    ),
    Operation("CreateBucket", "PUT", BUCKET, WRITE, "s3:CreateBucket", buckets.create_bucket),
    Operation("HeadBucket", "HEAD", BUCKET, READ, "s3:ListBucket", buckets.head_bucket),
    Operation("DeleteBucket", "DELETE", BUCKET, WRITE, "s3:DeleteBucket", buckets.delete_bucket),
    Operation(
        "GetBucketLocation", "GET", BUCKET, READ, "s3:GetBucketLocation", buckets.get_bucket_location, "location"
    ),
    Operation("PutBucketCors", "PUT", BUCKET, WRITE, "s3:PutBucketCORS", crossorigin.put_bucket_cors, "cors"),
    Operation("GetBucketCors", "GET", BUCKET, READ, "s3:GetBucketCORS", crossorigin.get_bucket_cors, "cors"),
    Operation("DeleteBucketCors", "DELETE", BUCKET, WRITE, "s3:PutBucketCORS", crossorigin.delete_bucket_cors, "cors"),
    Operation("PutBucketWebsite", "PUT", BUCKET, WRITE, "s3:PutBucketWebsite", sites.put_bucket_website, "website"),
    Operation("GetBucketWebsite", "GET", BUCKET, READ, "s3:GetBucketWebsite", sites.get_bucket_website, "website"),
    Operation(
        "DeleteBucketWebsite", "DELETE", BUCKET, WRITE, "s3:DeleteBucketWebsite", sites.delete_bucket_website, "website"
    ),
    Operation(
        "PutBucketLifecycleConfiguration", "PUT", BUCKET, WRITE, "s3:PutLifecycleConfiguration",
        lifecycle.put_bucket_lifecycle_configuration, "lifecycle",
    ),
    Operation(
        "GetBucketLifecycleConfiguration", "GET", BUCKET, READ, "s3:GetLifecycleConfiguration",
        lifecycle.get_bucket_lifecycle_configuration, "lifecycle",
    ),
    Operation(
        "DeleteBucketLifecycle", "DELETE", BUCKET, WRITE, "s3:PutLifecycleConfiguration",
        lifecycle.delete_bucket_lifecycle, "lifecycle",
    ),
    Operation(
        "PutBucketNotificationConfiguration", "PUT", BUCKET, WRITE, "s3:PutBucketNotification",
        notifications.put_bucket_notification_configuration, "notification",
    ),
    Operation(
        "GetBucketNotificationConfiguration", "GET", BUCKET, READ, "s3:GetBucketNotification",
        notifications.get_bucket_notification_configuration, "notification",
    ),
    Operation(
        "ListenBucketNotification", "GET", BUCKET, READ, "s3:ListenBucketNotification",
        listening.listen_bucket_notification, "events", parameters=_names("prefix suffix"),
    ),
    Operation(
        "ListObjects", "GET", BUCKET, READ, "s3:ListBucket", listings.list_objects,
        parameters=_LIST,
    ),
    Operation(
        "ListObjectsV2", "GET", BUCKET, READ, "s3:ListBucket", listings.list_objects_v2, "list-type",
        parameters=_LIST,
    ),
    Operation(
        "ListObjectVersions", "GET", BUCKET, READ, "s3:ListBucketVersions", listings.list_object_versions, "versions",
        parameters=_LIST,
    ),
    Operation(
        "PutBucketVersioning", "PUT", BUCKET, WRITE, "s3:PutBucketVersioning", versions.put_bucket_versioning,
        "versioning",
    ),
    Operation(
        "GetBucketVersioning", "GET", BUCKET, READ, "s3:GetBucketVersioning", versions.get_bucket_versioning,
        "versioning",
    ),
    Operation(
        "PutObjectLockConfiguration", "PUT", BUCKET, WRITE, "s3:PutBucketObjectLockConfiguration",
        locking.put_object_lock_configuration, "object-lock",
    ),
    Operation(
        "GetObjectLockConfiguration", "GET", BUCKET, READ, "s3:GetBucketObjectLockConfiguration",
        locking.get_object_lock_configuration, "object-lock",
    ),
    Operation("PostObject", "POST", BUCKET, WRITE, "s3:PutObject", posts.post_object),
    Operation("DeleteObjects", "POST", BUCKET, WRITE, "s3:DeleteObject", deletes.delete_objects, "delete"),
    Operation(
        "ListMultipartUploads", "GET", BUCKET, READ, "s3:ListBucketMultipartUploads", uploads.list_multipart_uploads,
        "uploads", parameters=_names("prefix delimiter key-marker upload-id-marker max-uploads encoding-type"),
    ),
    Operation("GetBucketTagging", "GET", BUCKET, READ, "s3:GetBucketTagging", tagging.get_bucket_tagging, "tagging"),
    Operation("PutBucketTagging", "PUT", BUCKET, WRITE, "s3:PutBucketTagging", tagging.put_bucket_tagging, "tagging"),
    Operation(
        "DeleteBucketTagging", "DELETE", BUCKET, WRITE, "s3:PutBucketTagging", tagging.delete_bucket_tagging, "tagging"
    ),
    Operation("GetBucketAcl", "GET", BUCKET, READ, "s3:GetBucketAcl", ownership.get_bucket_acl, "acl"),
    Operation("PutBucketAcl", "PUT", BUCKET, WRITE, "s3:PutBucketAcl", ownership.put_bucket_acl, "acl"),
    Operation(
        "GetBucketOwnershipControls", "GET", BUCKET, READ, "s3:GetBucketOwnershipControls",
        ownership.get_ownership_controls, "ownershipControls",
    ),
    Operation(
        "PutBucketOwnershipControls", "PUT", BUCKET, WRITE, "s3:PutBucketOwnershipControls",
        ownership.put_ownership_controls, "ownershipControls",
    ),
    Operation(
        "DeleteBucketOwnershipControls", "DELETE", BUCKET, WRITE, "s3:PutBucketOwnershipControls",
        ownership.delete_ownership_controls, "ownershipControls",
    ),
    Operation(
        "GetPublicAccessBlock", "GET", BUCKET, READ, "s3:GetBucketPublicAccessBlock",
        ownership.get_public_access_block, "publicAccessBlock",
    ),
    Operation(
        "PutPublicAccessBlock", "PUT", BUCKET, WRITE, "s3:PutBucketPublicAccessBlock",
        ownership.put_public_access_block, "publicAccessBlock",
    ),
    Operation(
        "DeletePublicAccessBlock", "DELETE", BUCKET, WRITE, "s3:PutBucketPublicAccessBlock",
        ownership.delete_public_access_block, "publicAccessBlock",
    ),
    Operation("GetBucketPolicy", "GET", BUCKET, READ, "s3:GetBucketPolicy", policies.get_bucket_policy, "policy"),
    Operation("PutBucketPolicy", "PUT", BUCKET, WRITE, "s3:PutBucketPolicy", policies.put_bucket_policy, "policy"),
    Operation(
        "DeleteBucketPolicy", "DELETE", BUCKET, WRITE, "s3:DeleteBucketPolicy", policies.delete_bucket_policy, "policy"
    ),
    Operation(
        "GetBucketPolicyStatus", "GET", BUCKET, READ, "s3:GetBucketPolicyStatus", policies.get_bucket_policy_status,
        "policyStatus",
    ),
    Operation("PutObject", "PUT", OBJECT, WRITE, "s3:PutObject", objects.put_object),
    Operation("CopyObject", "PUT", OBJECT, WRITE, "s3:PutObject", copies.copy_object, header=COPY_SOURCE),
    Operation("GetObject", "GET", OBJECT, READ, "s3:GetObject", objects.get_object, parameters=_READ_OBJECT),
    Operation("HeadObject", "HEAD", OBJECT, READ, "s3:GetObject", objects.head_object, parameters=_READ_OBJECT),
    Operation(
        "GetObjectAttributes", "GET", OBJECT, READ, "s3:GetObjectAttributes", attributes.get_object_attributes,
        "attributes", parameters=_VERSION,
    ),
    Operation(
        "DeleteObject", "DELETE", OBJECT, WRITE, "s3:DeleteObject", objects.delete_object, parameters=_VERSION
    ),
    Operation(
        "GetObjectAcl", "GET", OBJECT, READ, "s3:GetObjectAcl", ownership.get_object_acl, "acl", parameters=_VERSION
    ),
    Operation(
        "PutObjectAcl", "PUT", OBJECT, WRITE, "s3:PutObjectAcl", ownership.put_object_acl, "acl", parameters=_VERSION
    ),
    Operation(
        "GetObjectTagging", "GET", OBJECT, READ, "s3:GetObjectTagging", tagging.get_object_tagging, "tagging",
        parameters=_VERSION,
    ),
    Operation(
        "PutObjectTagging", "PUT", OBJECT, WRITE, "s3:PutObjectTagging", tagging.put_object_tagging, "tagging",
        parameters=_VERSION,
    ),
    Operation(
        "DeleteObjectTagging", "DELETE", OBJECT, WRITE, "s3:DeleteObjectTagging", tagging.delete_object_tagging,
        "tagging", parameters=_VERSION,
    ),
    Operation(
        "PutObjectRetention", "PUT", OBJECT, WRITE, "s3:PutObjectRetention", locking.put_object_retention, "retention",
        parameters=_VERSION,
    ),
    Operation(
        "GetObjectRetention", "GET", OBJECT, READ, "s3:GetObjectRetention", locking.get_object_retention, "retention",
        parameters=_VERSION,
    ),
    Operation(
        "PutObjectLegalHold", "PUT", OBJECT, WRITE, "s3:PutObjectLegalHold", locking.put_object_legal_hold,
        "legal-hold", parameters=_VERSION,
    ),
    Operation(
        "GetObjectLegalHold", "GET", OBJECT, READ, "s3:GetObjectLegalHold", locking.get_object_legal_hold,
        "legal-hold", parameters=_VERSION,
    ),
    Operation(
        "CreateMultipartUpload", "POST", OBJECT, WRITE, "s3:PutObject", uploads.create_multipart_upload, "uploads"
    ),
    Operation(
        "UploadPart", "PUT", OBJECT, WRITE, "s3:PutObject", uploads.upload_part, "uploadId", parameters=_PART
    ),
    Operation(
        "UploadPartCopy", "PUT", OBJECT, WRITE, "s3:PutObject", copies.upload_part_copy, "uploadId", COPY_SOURCE,
        _PART,
    ),
    Operation(
        "CompleteMultipartUpload", "POST", OBJECT, WRITE, "s3:PutObject", uploads.complete_multipart_upload, "uploadId"
    ),
    Operation(
        "AbortMultipartUpload", "DELETE", OBJECT, WRITE, "s3:AbortMultipartUpload", uploads.abort_multipart_upload,
        "uploadId",
    ),
    Operation(
        "ListParts", "GET", OBJECT, READ, "s3:ListMultipartUploadParts", uploads.list_parts, "uploadId",
        parameters=_names("max-parts part-number-marker encoding-type"),
    ),
    Operation(
        "RestoreObject", "POST", OBJECT, WRITE, "s3:RestoreObject", untouched.restore, "restore",
        parameters=_VERSION, refusal="InvalidObjectState",
    ),
    *_of_untouched(),
)  # fmt: skip

#: The sub-resources that S3 has beside those of the table, at whatever level: where one is asked for, nothing else is
#: meant.
_OTHERS = _names(
    "abac analytics annotation append encryption intelligent-tiering inventory metadataConfiguration"
    " metadataInventoryTable metadataJournalTable metadataTable metrics renameObject select session"
)
SUBRESOURCES = _OTHERS | {operation.query for operation in OPERATIONS if operation.query}

_TABLE = {(each.level, each.method, each.query, each.header): each for each in OPERATIONS}
_METHODS = {
    level: sorted({each.method for each in OPERATIONS if each.level == level and not each.query})
    for level in (SERVICE, ACCOUNT, BUCKET, OBJECT)
}
#: Parameters of the signature; those of SigV4, and others that S3 passes over, begin with ``x-``.  botocore puts the
#: headers that version 2 signs among them; what is stored is what the headers say.
_SIGNATURE_V2 = _names("AWSAccessKeyId Signature Expires content-type content-md5")


def find(level: str, method: str, pairs: Sequence[tuple[str, str]], header: Callable[[str], str | None]) -> Operation:
    """The operation that a request is for.

    :param pairs: the query, decoded.
    :param header: gives a request header, or None.
    :raises S3Error: NotImplemented for a sub-resource that is not in the table; InvalidArgument for several;
        MethodNotAllowed for a method that S3 does not have there.
    """
    asked = {name for name, _ in pairs} & SUBRESOURCES
    if len(asked) > 1:
        raise S3Error(
            "InvalidArgument", f"Conflicting query string parameters: {', '.join(sorted(asked))}",
            ArgumentName="ResourceType", ArgumentValue=", ".join(sorted(asked)),
        )  # fmt: skip
    query = asked.pop() if asked else ""
    operation = None
    if header(COPY_SOURCE) is not None:
        operation = _TABLE.get((level, method, query, COPY_SOURCE))
    operation = operation or _TABLE.get((level, method, query, ""))
    if operation is None:
        raise _missing(level, method, query)
    for name, value in pairs:
        if not _is_known(operation, name, value):
            raise S3Error("NotImplemented", Header=name)
    return operation


def _missing(level: str, method: str, query: str) -> S3Error:
    if query:
        return S3Error("NotImplemented", f"{method} of the sub-resource {query} is not implemented.", Header=query)
    return S3Error(
        "MethodNotAllowed",
        headers={"Allow": ", ".join(_METHODS[level])},
        Method=method,
        ResourceType=level.upper(),
    )


def _is_known(operation: Operation, name: str, value: str) -> bool:
    """Whether a parameter may stay without effect, or has one.

    S3 passes over what it does not know.  Here that goes only for what cannot be meant to change anything: a read
    with something that has a value, and so is no sub-resource.
    """
    if name == operation.query or name in operation.parameters or name in _SIGNATURE_V2:
        return True
    return name[:2].lower() == "x-" or (operation.access == READ and value != "")
