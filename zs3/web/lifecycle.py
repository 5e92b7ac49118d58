"""The operations that configure a bucket's lifecycle, and what other answers tell of it.

What the rules do is done by `zs3.lifecycle`.  Here it learns of buckets with
rules: those that requests are about.
"""

from __future__ import annotations

from zs3.errors import S3Error
from zs3.lifecycle import evaluation
from zs3.lifecycle.evaluation import Due
from zs3.lifecycle.rules import LIFECYCLE, Lifecycle, kept, lifecycle_of
from zs3.store.values import Configuration, ObjectInfo, UploadInfo
from zs3.web import lifecyclexml
from zs3.web.call import Call, Settings
from zs3.web.headers import check_bucket_owner, has_digest
from zs3.web.lifecyclexml import DEFAULT_MINIMUM_SIZE, MINIMUM_SIZE
from zs3.web.responses import send_empty, send_xml

EXPIRATION = "x-amz-expiration"


# Operations ----------------------------------------------------------------------------------------------------------


async def put_bucket_lifecycle_configuration(call: Call) -> None:
    """PutBucketLifecycleConfiguration: replaces all rules that there were."""
    check_bucket_owner(call.header, call.owner.id)
    if not has_digest(call.header):
        raise S3Error("InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
    minimum_size = lifecyclexml.parse_minimum_size(call.header(MINIMUM_SIZE))
    rules = lifecyclexml.parse(await call.read_document(lifecyclexml.SIZE))
    await call.configure(LIFECYCLE, kept(Lifecycle(rules, minimum_size)))
    call.settings.rules_seen()
    send_empty(call.request, 200, {MINIMUM_SIZE: minimum_size or DEFAULT_MINIMUM_SIZE})


async def get_bucket_lifecycle_configuration(call: Call) -> None:
    """GetBucketLifecycleConfiguration."""
    check_bucket_owner(call.header, call.owner.id)
    configuration = await call.store.get_configuration(call.bucket)
    if LIFECYCLE not in configuration:
        raise S3Error("NoSuchLifecycleConfiguration", BucketName=call.bucket)
    lifecycle = lifecycle_of(configuration)
    headers = {MINIMUM_SIZE: lifecycle.minimum_size or DEFAULT_MINIMUM_SIZE}
    send_xml(call.request, lifecyclexml.document(lifecycle), headers=headers)


async def delete_bucket_lifecycle(call: Call) -> None:
    """DeleteBucketLifecycle: no error where there are no rules."""
    check_bucket_owner(call.header, call.owner.id)
    await call.unconfigure(LIFECYCLE)
    send_empty(call.request, 204)


# Answers to others ---------------------------------------------------------------------------------------------------


def _lifecycle(configuration: Configuration, settings: Settings) -> Lifecycle | None:
    """The rules of a bucket, if it has any that can be read."""
    if LIFECYCLE not in configuration:
        return None
    settings.rules_seen()
    try:
        return lifecycle_of(configuration)
    except ValueError:
        # The service says so in the log; objects are there nevertheless.
        return None


def expiration(configuration: Configuration, settings: Settings, info: ObjectInfo) -> str | None:
    """The value of `EXPIRATION` for the current version of an object; None where it does not expire.

    Source: Amazon S3 API Reference, GetObject, HeadObject, PutObject, CopyObject, CompleteMultipartUpload.

    :param configuration: of its bucket.
    """
    lifecycle = _lifecycle(configuration, settings)
    if lifecycle is None:
        return None
    tags, day = info.attributes.tags, settings.lifecycle_day
    due = evaluation.expiry(lifecycle.enabled, info.key, info.size, tags, info.mtime_ns, day)
    return None if due is None else lifecyclexml.expiration_header(due)


def expiration_headers(call: Call, info: ObjectInfo) -> dict[str, str]:
    """`EXPIRATION` as it belongs to the answer that tells of an object that was made, or that is the current one."""
    value = expiration(call.gate.configuration, call.settings, info)
    return {} if value is None else {EXPIRATION: value}


def abort_headers(call: Call, upload: UploadInfo) -> dict[str, str]:
    """What CreateMultipartUpload and ListParts tell of when an upload is aborted, if it is.

    Source: Amazon S3 API Reference, CreateMultipartUpload, ListParts.
    """
    lifecycle = _lifecycle(call.gate.configuration, call.settings)
    if lifecycle is None:
        return {}
    rules, day = lifecycle.enabled, call.settings.lifecycle_day
    due: Due | None = evaluation.abortion(rules, upload.key, upload.initiated_ns, day)
    return {} if due is None else lifecyclexml.abort_headers(due)
