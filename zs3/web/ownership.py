"""Whose a bucket is and who may do what with it: ACLs, ownership controls, the public access block.

The operations that read and change these.  What they mean for other requests is
`zs3.auth.access`'s affair.

Source: Amazon S3 API Reference, PutBucketAcl and so on; User Guide, "Controlling
ownership of objects", "Blocking public access to your Amazon S3 storage".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from zs3.auth import access, accounts
from zs3.auth.access import (
    ACCESS,
    BLOCKS,
    ENFORCED,
    OWNERSHIP,
    PUBLIC_ACCESS_BLOCK,
    WRITER,
    object_acl,
    object_record,
)
from zs3.auth.acl import Acl, private
from zs3.errors import S3Error
from zs3.events.rules import ACL_PUT
from zs3.store.values import Attributes, ObjectInfo
from zs3.web import acls, xml
from zs3.web.acls import acl_of_headers, asks_for_acl, check_disabled
from zs3.web.announcing import announce
from zs3.web.authorize import account_block
from zs3.web.bodies import CONFIGURATION_SIZE, parse_ownership, parse_public_access_block
from zs3.web.call import Call
from zs3.web.created import check_not_blocked
from zs3.web.headers import check_bucket_owner
from zs3.web.responses import send_empty, send_xml
from zs3.web.versions import version_header

# ACLs -----------------------------------------------------------------------------------------------------------------


async def get_bucket_acl(call: Call) -> None:
    """GetBucketAcl."""
    check_bucket_owner(call.header, call.owner.id)
    send_xml(call.request, acls.policy(call.access.acl if call.access.has_acls else private(call.access.owner)))


async def get_object_acl(call: Call) -> None:
    """GetObjectAcl."""
    check_bucket_owner(call.header, call.owner.id)
    info: ObjectInfo = await call.store.get_object_info(call.bucket, call.key, call.version)
    document = acls.policy(object_acl(call.access, info.attributes.access))
    send_xml(call.request, document, headers=version_header(call.gate.configuration, info.version))


def _requested_acl(call: Call, body: bytes | None, owner: str, bucket_owner: str | None) -> Acl:
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
        acl = private(call.access.owner)
        own = accounts.canonical_id(acl.owner)
        # Whoever it names beside the owner, known or not, is one too many.
        if acls.parse_policy(body, acl.owner, lambda one: acl.owner if one == own else accounts.ANONYMOUS) != acl:
            raise S3Error("AccessControlListNotSupported")


async def put_bucket_acl(call: Call) -> None:
    """PutBucketAcl."""
    check_bucket_owner(call.header, call.owner.id)
    body = await _read_acl_request(call)
    bucket = call.access
    if not bucket.has_acls:
        _check_unchanged(call, body)
    else:
        acl = _requested_acl(call, body, bucket.owner, None)
        account = await account_block(call.store, bucket.owner)

        def change(configuration: dict[str, Any]) -> None:
            # As it is configured at that moment: what came while the body was awaited counts.
            now = access.bucket_access(configuration, call.settings.ownership)
            if not now.has_acls:
                raise S3Error("AccessControlListNotSupported")
            check_not_blocked(now.within(account), acl)
            configuration[ACCESS] = acl.text

        await call.store.change_configuration(call.bucket, change)
    send_empty(call.request, 200)


async def put_object_acl(call: Call) -> None:
    """PutObjectAcl."""
    check_bucket_owner(call.header, call.owner.id)
    body = await _read_acl_request(call)
    # Once more: what was configured while the body was awaited counts.
    bucket = (await call.gate_to(call.bucket, call.key, access.PUT_ACL, call.version)).access
    if not bucket.has_acls:
        _check_unchanged(call, body)
        info: ObjectInfo = await call.store.get_object_info(call.bucket, call.key, call.version)
    else:

        def change(info: ObjectInfo) -> Attributes:
            owner = object_acl(bucket, info.attributes.access).owner
            acl = _requested_acl(call, body, owner, bucket.owner)
            check_not_blocked(bucket, acl)
            return replace(info.attributes, access=object_record(bucket, acl))

        info = await call.store.change_object(call.bucket, call.key, change, call.version)
        await announce(call, ACL_PUT, info)
    send_empty(call.request, 200, version_header(call.gate.configuration, info.version))


# Ownership controls ---------------------------------------------------------------------------------------------------


async def get_ownership_controls(call: Call) -> None:
    """GetBucketOwnershipControls.  A bucket that has none is, on S3, its objects' writers'."""
    check_bucket_owner(call.header, call.owner.id)
    bucket = call.access
    if not bucket.controls and bucket.ownership == WRITER:
        raise S3Error("OwnershipControlsNotFoundError", BucketName=call.bucket)
    root = xml.root("OwnershipControls")
    root.add("Rule").add("ObjectOwnership", bucket.ownership)
    send_xml(call.request, root.document())


async def put_ownership_controls(call: Call) -> None:
    """PutBucketOwnershipControls."""
    check_bucket_owner(call.header, call.owner.id)
    wanted = parse_ownership(await call.read_document(CONFIGURATION_SIZE))

    def change(configuration: dict[str, Any]) -> None:
        acl = access.bucket_access(configuration, call.settings.ownership).acl
        if wanted == ENFORCED and acl != private(acl.owner):
            raise S3Error("InvalidBucketAclWithObjectOwnership")
        configuration[OWNERSHIP] = wanted

    await call.store.change_configuration(call.bucket, change)
    send_empty(call.request, 200)


async def delete_ownership_controls(call: Call) -> None:
    """DeleteBucketOwnershipControls: the bucket has again what the daemon gives to those without."""
    check_bucket_owner(call.header, call.owner.id)
    await call.unconfigure(OWNERSHIP)
    send_empty(call.request, 204)


# The public access block ----------------------------------------------------------------------------------------------


async def get_public_access_block(call: Call) -> None:
    """GetPublicAccessBlock."""
    check_bucket_owner(call.header, call.owner.id)
    block = call.access.block
    if block is None:
        raise S3Error("NoSuchPublicAccessBlockConfiguration", BucketName=call.bucket)
    root = xml.root("PublicAccessBlockConfiguration")
    for name in BLOCKS:
        root.add(name, name in block)
    send_xml(call.request, root.document())


async def put_public_access_block(call: Call) -> None:
    """PutPublicAccessBlock."""
    check_bucket_owner(call.header, call.owner.id)
    wanted = parse_public_access_block(await call.read_document(CONFIGURATION_SIZE))
    await call.configure(PUBLIC_ACCESS_BLOCK, wanted)
    send_empty(call.request, 200)


async def delete_public_access_block(call: Call) -> None:
    """DeletePublicAccessBlock: there is none then, also where a new bucket has one."""
    check_bucket_owner(call.header, call.owner.id)
    await call.configure(PUBLIC_ACCESS_BLOCK, None)
    send_empty(call.request, 204)
