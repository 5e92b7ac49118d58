"""The operations on buckets themselves, and the list of them."""

from __future__ import annotations

from zs3.auth.access import LIST_BUCKET, bucket_access, user_may
from zs3.errors import S3Error
from zs3.store.values import OBJECT_LOCK, BucketInfo
from zs3.web import documents, names
from zs3.web.bodies import parse_new_bucket
from zs3.web.call import Call
from zs3.web.created import configuration_of_new_bucket
from zs3.web.documents import DEFAULT_REGION
from zs3.web.headers import check_bucket_owner, check_new_bucket
from zs3.web.parameters import bounded_number, decode_token, encode_token
from zs3.web.responses import send_empty, send_xml
from zs3.web.tagging import configured
from zs3.web.tags import SIZE

MAX_BUCKETS = 10_000


async def list_buckets(call: Call) -> None:
    """ListBuckets: those of the account that the user may read, by name; in pages if the request asks for that."""
    prefix = call.parameter("prefix") or ""
    token = call.parameter("continuation-token")
    after = decode_token(token) if token else ""
    limit = bounded_number(call.parameter("max-buckets"), "max-buckets", low=1, default=MAX_BUCKETS, high=MAX_BUCKETS)
    region = call.parameter("bucket-region")
    found = []
    if region in (None, "", call.settings.region_name):
        found = [
            bucket
            for bucket in await call.store.list_buckets()
            if bucket.name.startswith(prefix) and bucket.name > after and _is_own(call, bucket)
        ]
    page = found[:limit]
    document = documents.buckets(
        page,
        owner=call.owner,
        region=call.settings.region_name,
        prefix=prefix,
        token=encode_token(page[-1].name) if len(found) > limit else "",
    )
    send_xml(call.request, document)


def _is_own(call: Call, bucket: BucketInfo) -> bool:
    """Whether a bucket belongs to the account, and the user may see it."""
    owner = bucket_access(bucket.configuration, call.settings.ownership).owner
    return owner == call.principal.account and user_may(call.principal, LIST_BUCKET, bucket.name)


async def create_bucket(call: Call) -> None:
    """CreateBucket.  Where a region is set, another location is refused; else any is as good as the other.

    In S3's first region, and there alone, it is no error that the bucket is there already, if it is as it was asked
    for: its ACL is not changed by the way.
    """
    if not names.is_new_bucket_name(call.bucket):
        raise S3Error("InvalidBucketName", BucketName=call.bucket)
    check_new_bucket(call.header)
    location, tags = parse_new_bucket(await call.read_document(SIZE))
    if tags:
        call.gate.check("s3:PutBucketTagging")
    configuration = await configuration_of_new_bucket(call) | configured(tags)
    region = call.settings.region
    if location and region and location != region:
        raise S3Error(
            "IllegalLocationConstraintException",
            f"The {location} location constraint is incompatible for the region specific endpoint this request was"
            " sent to.",
        )
    try:
        await call.store.create_bucket(call.bucket, configuration)
    except S3Error as error:
        if error.code != "BucketAlreadyOwnedByYou":
            raise
        found = await call.store.get_configuration(call.bucket)
        there = bucket_access(found, call.settings.ownership)
        wanted = bucket_access(configuration, call.settings.ownership)
        if there.owner != wanted.owner:
            raise S3Error("BucketAlreadyExists", BucketName=call.bucket) from None
        if tags or call.settings.region_name != DEFAULT_REGION:
            raise
        if OBJECT_LOCK in configuration and OBJECT_LOCK not in found:
            raise
        if there.acl != wanted.acl:
            raise S3Error("BucketAlreadyExists", BucketName=call.bucket) from None
    send_empty(call.request, 200, {"Location": "/" + call.bucket})


async def head_bucket(call: Call) -> None:
    """HeadBucket."""
    check_bucket_owner(call.header, call.owner.id)
    await call.store.get_bucket(call.bucket)
    send_empty(call.request, 200, {"x-amz-bucket-region": call.settings.region_name, "Content-Length": "0"})


async def delete_bucket(call: Call) -> None:
    """DeleteBucket."""
    check_bucket_owner(call.header, call.owner.id)
    await call.store.delete_bucket(call.bucket)
    send_empty(call.request, 204)


async def get_bucket_location(call: Call) -> None:
    """GetBucketLocation."""
    check_bucket_owner(call.header, call.owner.id)
    await call.store.get_bucket(call.bucket)
    send_xml(call.request, documents.location(call.settings.region_name))
