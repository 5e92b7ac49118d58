"""Whose a bucket is and who may do what with it: ACLs, ownership controls, the public access block.

The operations that read and change these, and what a new bucket or object gets
of them.  What they mean for other requests is `zs3.auth.access`'s affair.

Source: Amazon S3 API Reference, PutBucketAcl and so on; User Guide, "Controlling
ownership of objects", "Blocking public access to your Amazon S3 storage".
"""

from __future__ import annotations

from typing import Any

from zs3.auth import access
from zs3.auth.access import (
    ACCESS,
    BLOCK_ACLS,
    BLOCKS,
    ENFORCED,
    OWNERSHIP,
    OWNERSHIPS,
    PREFERRED,
    PUBLIC_ACCESS_BLOCK,
    BucketAccess,
    object_acl,
    object_record,
)
from zs3.auth.acl import Acl, private
from zs3.errors import S3Error
from zs3.store.interface import Attributes, ObjectInfo
from zs3.web import acls, xml
from zs3.web.acls import acl_of_headers, asks_for_acl, check_disabled, wants_bucket_owner
from zs3.web.authorize import Denied
from zs3.web.bodies import CONFIGURATION_SIZE, parse_ownership, parse_public_access_block
from zs3.web.call import Call
from zs3.web.headers import Header, check_bucket_owner
from zs3.web.objects import check_version
from zs3.web.responses import send_empty, send_xml

_OBJECT_OWNERSHIP = "x-amz-object-ownership"


# What is new ----------------------------------------------------------------------------------------------------------


def configuration_of_new_bucket(call: Call) -> dict[str, Any]:
    """What a bucket that is to be made has configured of it.

    :raises S3Error: for what the headers ask and no bucket can be.
    """
    configuration: dict[str, Any] = {}
    wanted = call.header(_OBJECT_OWNERSHIP)
    if wanted is not None:
        if wanted not in OWNERSHIPS:
            raise S3Error("InvalidArgument", ArgumentName=_OBJECT_OWNERSHIP, ArgumentValue=wanted)
        configuration[OWNERSHIP] = wanted
    owner = call.principal.account
    acl = private(owner)
    bucket = access.bucket_access(configuration, call.settings.ownership)
    if bucket.has_acls:
        acl = acl_of_headers(call.header, owner, call.users.find_account)
        if acl.is_public and bucket.blocks(BLOCK_ACLS):
            raise S3Error("InvalidBucketAclWithBlockPublicAccessError")
    elif asks_for_acl(call.header):
        _check_enforced_bucket(call.header)
    if acl != bucket.acl:
        configuration[ACCESS] = acl.text
    return configuration


def _check_enforced_bucket(header: Header) -> None:
    try:
        check_disabled(header, strict=False)
    except S3Error as error:
        if error.code != "AccessControlListNotSupported":
            raise
        raise S3Error("InvalidBucketAclWithObjectOwnership") from None


def access_of_new_object(call: Call, header: Header) -> str:
    """What an object that the request makes has recorded of its owner and its ACL.

    :param header: gives what the request says of it.
    :raises S3Error: for what the headers ask and the bucket does not allow.
    """
    bucket = call.access
    if not bucket.has_acls:
        check_disabled(header, strict=bucket.controls)
        return ""
    owner = call.principal.account
    if bucket.ownership == PREFERRED and wants_bucket_owner(header):
        owner = bucket.owner
    acl = acl_of_headers(header, owner, call.users.find_account, bucket_owner=bucket.owner)
    _check_public(bucket, acl)
    return object_record(bucket, acl)


def _check_public(bucket: BucketAccess, acl: Acl) -> None:
    if acl.is_public and bucket.blocks(BLOCK_ACLS):
        raise Denied("the public access block lets nobody make an ACL public")


# ACLs -----------------------------------------------------------------------------------------------------------------


async def get_bucket_acl(call: Call) -> None:
    """GetBucketAcl."""
    check_bucket_owner(call.header, call.owner.id)
    send_xml(call.request, acls.policy(call.access.acl if call.access.has_acls else private(call.access.owner)))


async def get_object_acl(call: Call) -> None:
    """GetObjectAcl."""
    check_bucket_owner(call.header, call.owner.id)
    check_version(call)
    info: ObjectInfo = await call.store.get_object_info(call.bucket, call.key)
    send_xml(call.request, acls.policy(object_acl(call.access, info.attributes.access)))


async def _requested_acl(call: Call, body: bytes | None, owner: str, bucket_owner: str | None) -> Acl:
    """The ACL that a PutBucketAcl or PutObjectAcl asks for.

    :param body: None if the headers say it.
    """
    find = call.users.find_account
    if body is None:
        return acl_of_headers(call.header, owner, find, bucket_owner=bucket_owner)
    return acls.parse_policy(body, owner, find)


async def _read_acl_request(call: Call) -> bytes | None:
    """The document of the request, None if its headers say what is wanted instead."""
    if asks_for_acl(call.header):
        if call.request.has_body:
            raise S3Error("UnexpectedContent")
        return None
    if not call.request.has_body:
        raise S3Error("MissingSecurityHeader", MissingHeaderName=acls.CANNED)
    return await call.read_document(CONFIGURATION_SIZE)


def _check_unchanged(call: Call, body: bytes | None) -> None:
    """Where ACLs are disabled: accept one that says what is the case, as a client that copies ACLs along sends it."""
    check_disabled(call.header, strict=call.access.controls)
    if body is not None:
        owner = private(call.access.owner)
        # Whom it names does not matter: it is refused if it is not the owner, known or unknown.
        if acls.parse_policy(body, owner.owner, call.users.find_account) != owner:
            raise S3Error("AccessControlListNotSupported")


async def put_bucket_acl(call: Call) -> None:
    """PutBucketAcl."""
    check_bucket_owner(call.header, call.owner.id)
    body = await _read_acl_request(call)
    bucket = call.access
    if not bucket.has_acls:
        _check_unchanged(call, body)
    else:
        acl = await _requested_acl(call, body, bucket.owner, None)
        _check_public(bucket, acl)
        await call.store.change_configuration(call.bucket, _setter(ACCESS, acl))
    send_empty(call.request, 200)
