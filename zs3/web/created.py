"""What a bucket or an object has from its first moment on: its owner, its ACL, its lock, what else its
headers say.

Source: Amazon S3 API Reference, CreateBucket and PutObject; User Guide,
"Controlling ownership of objects".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from zs3.auth import access
from zs3.auth.access import ACCESS, BLOCK_ACLS, OWNERSHIP, OWNERSHIPS, PREFERRED, PUT_ACL, BucketAccess, object_record
from zs3.auth.acl import Acl, private
from zs3.errors import S3Error
from zs3.store.values import NOT_LOCKED, Attributes
from zs3.web.acls import acl_of_headers, asks_for_acl, check_disabled, wants_bucket_owner
from zs3.web.authorize import Denied, account_block
from zs3.web.call import Call
from zs3.web.headers import Header, parse_attributes
from zs3.web.locking import configuration_of_locked_bucket, lock_of_new_object

_OBJECT_OWNERSHIP = "x-amz-object-ownership"


async def configuration_of_new_bucket(call: Call) -> dict[str, Any]:
    """What a bucket that is to be made has configured of it.

    :raises S3Error: for what the headers ask and no bucket can be, or who asks may not give it.
    """
    configuration: dict[str, Any] = {}
    wanted = call.header(_OBJECT_OWNERSHIP)
    if wanted is not None:
        if wanted not in OWNERSHIPS:
            raise S3Error("InvalidArgument", ArgumentName=_OBJECT_OWNERSHIP, ArgumentValue=wanted)
        call.gate.check("s3:PutBucketOwnershipControls")
        configuration[OWNERSHIP] = wanted
    owner = call.principal.account
    acl = private(owner)
    bucket = access.bucket_access(configuration, call.settings.ownership)
    bucket = bucket.within(await account_block(call.store, owner))
    if bucket.has_acls:
        acl = acl_of_headers(call.header, owner, call.users.find_account)
        if acl.is_public and bucket.blocks(BLOCK_ACLS):
            raise S3Error("InvalidBucketAclWithBlockPublicAccessError")
    elif asks_for_acl(call.header):
        _check_enforced_bucket(call.header)
    if acl != private(owner):
        call.gate.check("s3:PutBucketAcl")
    if acl != bucket.acl:
        configuration[ACCESS] = acl.text
    return configuration | configuration_of_locked_bucket(call)


def _check_enforced_bucket(header: Header) -> None:
    try:
        check_disabled(header, strict=False)
    except S3Error as error:
        if error.code != "AccessControlListNotSupported":
            raise
        raise S3Error("InvalidBucketAclWithObjectOwnership") from None


def attributes_of_new_object(call: Call, *, at_once: bool = True) -> Attributes:
    """What is stored beside the bytes of an object that the request makes.

    :param at_once: whether it makes it now; see `lock_of_new_object`.
    :raises S3Error: as `parse_attributes`, `access_of_new_object` and `lock_of_new_object`.
    """
    attributes = parse_attributes(call.wire.headers)
    if attributes.tags:
        call.gate.check_tags_of_new_object()
    record, lock = access_of_new_object(call, call.header), lock_of_new_object(call, at_once=at_once)
    return replace(attributes, access=record, lock=lock) if record or lock != NOT_LOCKED else attributes


def access_of_new_object(call: Call, header: Header) -> str:
    """What an object that the request makes has recorded of its owner and its ACL.

    :param header: gives what the request says of it.
    :raises S3Error: for what the headers ask and the bucket does not allow.
    """
    bucket = call.access
    if asks_for_acl(header):
        # Its maker gives it; but a policy may say that nobody does.
        decision = call.gate.decide(PUT_ACL)
        if decision.explicit and not decision.allowed:
            raise Denied(decision.reason)
    if not bucket.has_acls:
        check_disabled(header, strict=bucket.controls)
        return ""
    owner = call.principal.account
    if bucket.ownership == PREFERRED and wants_bucket_owner(header):
        owner = bucket.owner
    acl = acl_of_headers(header, owner, call.users.find_account, bucket_owner=bucket.owner)
    check_not_blocked(bucket, acl)
    return object_record(bucket, acl)


def access_of_delete_marker(call: Call) -> str:
    """What a delete marker that the request makes has recorded: it has an owner, and no ACL."""
    return access_of_new_object(call, lambda _: None)


def check_not_blocked(bucket: BucketAccess, acl: Acl) -> None:
    """Refuse an ACL that the public access block does not let anybody set.  Denied."""
    if acl.is_public and bucket.blocks(BLOCK_ACLS):
        raise Denied("the public access block lets nobody make an ACL public")
