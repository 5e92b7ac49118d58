"""The policy of a bucket: the operations that keep it, give it back and tell whether it makes the bucket public.

What it means for other requests is `zs3.auth.access`'s affair.

Source: Amazon S3 API Reference, PutBucketPolicy, GetBucketPolicy, DeleteBucketPolicy, GetBucketPolicyStatus.
"""

from __future__ import annotations

from typing import Any

from zs3.auth.access import BLOCK_POLICY, IGNORE_ACLS, POLICY, bucket_access
from zs3.auth.policy import parse_policy
from zs3.errors import S3Error
from zs3.web import xml
from zs3.web.authorize import Denied, account_block
from zs3.web.call import Call
from zs3.web.headers import check_bucket_owner
from zs3.web.responses import send_empty, send_json, send_xml

#: More than a policy may have, so that it is told what it may: one byte above its limit is no attack.
_READ_SIZE = 256 * 1024


def _check_account(call: Call) -> None:
    """Whoever else a policy names: only the owner's account may see or change it.  MethodNotAllowed."""
    check_bucket_owner(call.header, call.owner.id)
    if call.principal.account != call.access.owner:
        raise S3Error("MethodNotAllowed", Method=call.wire.method)


async def put_bucket_policy(call: Call) -> None:
    """PutBucketPolicy.

    ``x-amz-confirm-remove-self-bucket-access`` has nothing to confirm: an administrator of the owner's account can
    always put another.
    """
    _check_account(call)
    body = await call.read_document(_READ_SIZE)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise S3Error("MalformedPolicy", "This policy contains invalid Json") from None
    policy = parse_policy(text, call.bucket)
    account = await account_block(call.store, call.access.owner)

    def change(configuration: dict[str, Any]) -> None:
        # As it is configured at that moment: a block that comes first counts.
        bucket = bucket_access(configuration, call.settings.ownership, call.bucket)
        if policy.is_public and bucket.within(account).blocks(BLOCK_POLICY):
            raise Denied("the public access block lets nobody set a public policy")
        configuration[POLICY] = text

    await call.store.change_configuration(call.bucket, change)
    send_empty(call.request, 204)


async def get_bucket_policy(call: Call) -> None:
    """GetBucketPolicy: the text, as it was put."""
    _check_account(call)
    configuration = await call.store.get_configuration(call.bucket)
    if POLICY not in configuration:
        raise S3Error("NoSuchBucketPolicy", BucketName=call.bucket)
    send_json(call.request, str(configuration[POLICY]).encode("utf-8"))


async def delete_bucket_policy(call: Call) -> None:
    """DeleteBucketPolicy: what is not there is as good as deleted."""
    _check_account(call)
    await call.unconfigure(POLICY)
    send_empty(call.request, 204)


async def get_bucket_policy_status(call: Call) -> None:
    """GetBucketPolicyStatus: whether the policy or the ACL makes the bucket public."""
    check_bucket_owner(call.header, call.owner.id)
    bucket = call.access
    by_acl = bucket.has_acls and bucket.acl.is_public and not bucket.blocks(IGNORE_ACLS)
    root = xml.root("PolicyStatus")
    root.add("IsPublic", by_acl or (bucket.policy is not None and bucket.policy.is_public))
    send_xml(call.request, root.document())
