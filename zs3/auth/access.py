"""THE evaluation: who may do what.  Pure and total.

Every request is decided here, from who asks, the action of IAM that it needs,
and what is known of the bucket and of the object.  What is not allowed is
denied.  The reason of a decision is for the administrator, never for the client.

Source: Amazon S3 User Guide, "Access control list (ACL) overview", mapping of
ACL permissions and access policy permissions; "Controlling ownership of
objects"; "Blocking public access to your Amazon S3 storage".
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from zs3.auth import accounts
from zs3.auth import policy as policies
from zs3.auth.acl import (
    ALL_USERS,
    AUTHENTICATED_USERS,
    EVERYBODY,
    FULL_CONTROL,
    READ,
    READ_ACP,
    WRITE,
    WRITE_ACP,
    Acl,
    private,
    read_acl,
)
from zs3.auth.policy import NOBODY, Policy
from zs3.auth.policy_conditions import NOTHING, Context
from zs3.auth.users import User

# Object ownership
ENFORCED, PREFERRED, WRITER = "BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"
OWNERSHIPS = (ENFORCED, PREFERRED, WRITER)

# Public access block
BLOCK_ACLS, IGNORE_ACLS = "BlockPublicAcls", "IgnorePublicAcls"
BLOCK_POLICY, RESTRICT_BUCKETS = "BlockPublicPolicy", "RestrictPublicBuckets"
BLOCKS = (BLOCK_ACLS, IGNORE_ACLS, BLOCK_POLICY, RESTRICT_BUCKETS)
NOTHING_BLOCKED, ALL_BLOCKED = frozenset[str](), frozenset(BLOCKS)

#: On the policy itself.
_POLICY_ACTIONS = frozenset(("s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"))

#: On what counts for all that an account has.
ACCOUNT_ACTIONS = frozenset(("s3:GetAccountPublicAccessBlock", "s3:PutAccountPublicAccessBlock"))

CREATE_BUCKET, LIST_BUCKET, LIST_VERSIONS = "s3:CreateBucket", "s3:ListBucket", "s3:ListBucketVersions"
GET_OBJECT, GET_TAGGING = "s3:GetObject", "s3:GetObjectTagging"
PUT_OBJECT, PUT_ACL, PUT_TAGGING = "s3:PutObject", "s3:PutObjectAcl", "s3:PutObjectTagging"
DELETE_OBJECT, ABORT_UPLOAD, LIST_PARTS = "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"

GET_RETENTION, PUT_RETENTION = "s3:GetObjectRetention", "s3:PutObjectRetention"
GET_LEGAL_HOLD, PUT_LEGAL_HOLD = "s3:GetObjectLegalHold", "s3:PutObjectLegalHold"
BYPASS_GOVERNANCE = "s3:BypassGovernanceRetention"

#: The actions that are others where a request names a version by its id.
_ON_VERSIONS = {
    GET_OBJECT: "s3:GetObjectVersion",
    "s3:GetObjectAttributes": "s3:GetObjectVersionAttributes",
    "s3:GetObjectAcl": "s3:GetObjectVersionAcl",
    PUT_ACL: "s3:PutObjectVersionAcl",
    GET_TAGGING: "s3:GetObjectVersionTagging",
    PUT_TAGGING: "s3:PutObjectVersionTagging",
    "s3:DeleteObjectTagging": "s3:DeleteObjectVersionTagging",
    "s3:GetObjectTorrent": "s3:GetObjectVersionTorrent",
    DELETE_OBJECT: "s3:DeleteObjectVersion",
}

#: What a permission in the ACL of a bucket allows.  To remove a version for good, WRITE lets the owner only, who may.
_BUCKET_RIGHTS = {
    LIST_BUCKET: READ,
    LIST_VERSIONS: READ,
    "s3:ListBucketMultipartUploads": READ,
    PUT_OBJECT: WRITE,
    DELETE_OBJECT: WRITE,
    ABORT_UPLOAD: WRITE,
    LIST_PARTS: WRITE,
    "s3:GetBucketAcl": READ_ACP,
    "s3:PutBucketAcl": WRITE_ACP,
}
#: What a permission in the ACL of an object allows; "" where none does, and only its owner may.
_OF_CURRENT = {
    GET_OBJECT: READ,
    "s3:GetObjectAttributes": "",
    "s3:GetObjectAcl": READ_ACP,
    PUT_ACL: WRITE_ACP,
    GET_TAGGING: "",
    PUT_TAGGING: "",
    "s3:DeleteObjectTagging": "",
    GET_LEGAL_HOLD: "",
    GET_RETENTION: "",
    PUT_LEGAL_HOLD: "",
    PUT_RETENTION: "",
    "s3:GetObjectTorrent": "",
    "s3:RestoreObject": "",
}
_OBJECT_RIGHTS = _OF_CURRENT | {_ON_VERSIONS.get(action, action): right for action, right in _OF_CURRENT.items()}
_TAGGING = (GET_TAGGING, PUT_TAGGING, "s3:DeleteObjectTagging")
#: What the owner of a bucket may with another's object in it: the API reference says so of tags; and who keeps it may
#: know for how long.
_OF_BUCKET_OWNER_TOO = frozenset(
    (*_TAGGING, *(_ON_VERSIONS[action] for action in _TAGGING), GET_RETENTION, GET_LEGAL_HOLD)
)
#: What is the bucket's affair, whosever the object is: for how long it must be kept.
_OF_BUCKET_OWNER = frozenset((PUT_RETENTION, PUT_LEGAL_HOLD))
#: Actions on what an object is, not on what a bucket holds: whose it is can matter.
OBJECT_ACTIONS = frozenset(_OBJECT_RIGHTS)


class Principal(NamedTuple):
    """Who asks.

    :ivar user: who signed the request; None if nobody did.
    """

    user: User | None = None

    @property
    def policy(self) -> Policy | None:
        """All that the policies of the user say; None for who has none, and is not limited by that."""
        return None if self.user is None else self.user.policy

    @property
    def account(self) -> str:
        """The account that owns what the request makes."""
        return accounts.ANONYMOUS if self.user is None else self.user.account


@dataclass(frozen=True, slots=True)
class BucketAccess:
    """What is known of a bucket.

    :ivar ownership: one of `OWNERSHIPS`.
    :ivar controls: whether that was said of this very bucket.
    :ivar block: what is on of `BLOCKS`; None if there is no public access block.
    :ivar policy: None if there is none.
    :ivar account_block: what is on of `BLOCKS` for all buckets of the owner.
    """

    acl: Acl
    ownership: str = ENFORCED
    controls: bool = False
    block: frozenset[str] | None = None
    policy: Policy | None = None
    account_block: frozenset[str] = NOTHING_BLOCKED

    @property
    def owner(self) -> str:
        return self.acl.owner

    @property
    def has_acls(self) -> bool:
        """Whether ACLs, its own and those of its objects, mean anything."""
        return self.ownership != ENFORCED

    def blocks(self, what: str) -> bool:
        """Whether that is blocked, by its own block or by that of the owner's account."""
        return what in self.account_block or (self.block is not None and what in self.block)

    def within(self, account_block: frozenset[str]) -> BucketAccess:
        """The same as a bucket of an account with this block."""
        return replace(self, account_block=account_block) if account_block != self.account_block else self


class Decision(NamedTuple):
    """:ivar explicit: whether that is for what policies say or do not say, and is not moved by who owns what."""

    allowed: bool
    reason: str
    explicit: bool = False


_OWN = Decision(True, "it belongs to the account")
_NOT_GRANTED = Decision(False, "no policy of the user allows it", explicit=True)
#: The policies of a user name nobody: they are about the user.
_EVERYBODY = frozenset((policies.EVERYBODY,))


@functools.lru_cache(maxsize=256)
def _allowed_by(statement: str) -> Decision:
    return Decision(True, f"the bucket policy allows it: {statement}", explicit=True)


# The names in the configuration of a bucket; that of the block is that in the configuration of an account, too
ACCESS, OWNERSHIP, PUBLIC_ACCESS_BLOCK, POLICY = "access", "ownership", "publicAccessBlock", "policy"


@functools.lru_cache(maxsize=8)
def untouched(ownership: str) -> BucketAccess:
    """A bucket that nobody configured.

    :param ownership: what the daemon gives to a bucket of which nothing else is said.
    """
    # As AWS since April 2023; and where ACLs are to mean something, they shall.
    block = ALL_BLOCKED if ownership == ENFORCED else None
    return BucketAccess(private(accounts.DEFAULT), ownership, False, block)


def bucket_access(configuration: Mapping[str, Any], ownership: str, bucket: str = "") -> BucketAccess:
    """What the configuration of a bucket says; nothing that cannot be understood gives anybody more.

    :param ownership: what the daemon gives to a bucket of which nothing else is said.
    :param bucket: its name; what has a policy, and is not named, is closed.
    """
    default = untouched(ownership)
    if configuration.keys().isdisjoint((ACCESS, OWNERSHIP, PUBLIC_ACCESS_BLOCK, POLICY)):
        return default
    acl, block, controls = default.acl, default.block, OWNERSHIP in configuration
    if ACCESS in configuration:
        acl = read_acl(str(configuration[ACCESS]))
    if controls:
        said = configuration[OWNERSHIP]
        ownership = said if said in OWNERSHIPS else ENFORCED
    if PUBLIC_ACCESS_BLOCK in configuration:
        said = configuration[PUBLIC_ACCESS_BLOCK]
        block = None if said is None else _block(said)
    policy = None
    if POLICY in configuration:
        policy = policies.stored_policy(str(configuration[POLICY]), bucket) if bucket else policies.CLOSED
    return BucketAccess(acl, ownership, controls, block, policy)


def account_block(configuration: Mapping[str, Any]) -> frozenset[str]:
    """What the configuration of an account blocks for all of its buckets."""
    if PUBLIC_ACCESS_BLOCK not in configuration:
        return NOTHING_BLOCKED
    return _block(configuration[PUBLIC_ACCESS_BLOCK])


def _block(said: object) -> frozenset[str]:
    """What a block turns on as it is kept; all, if that cannot be understood."""
    on = said if isinstance(said, list) and all(what in BLOCKS for what in said) else BLOCKS
    return frozenset(on)


def on_version(action: str) -> str:
    """The action of IAM that stands for `action` where a version is named by its id.

    Source: Service Authorization Reference, "Actions, resources, and condition keys for Amazon S3".
    """
    return _ON_VERSIONS.get(action, action)


def is_write(action: str) -> bool:
    """Whether an action changes anything."""
    return not action.startswith(("s3:Get", "s3:List"))


def user_may(principal: Principal, action: str, bucket: str) -> bool:
    """Whether the role and the buckets of the user let the action pass, whosever the bucket is.

    :param bucket: its name; "" for what belongs to none.
    """
    user = principal.user
    if user is None:
        return True
    if action in ACCOUNT_ACTIONS and not _may_govern(user):
        return False
    return user.may("write" if is_write(action) else "read", bucket or None)


def _may_govern(user: User) -> bool:
    """Whether a user may be let do what is about all that the account has: an administrator, or by policies."""
    return user.buckets is None and (user.role == "admin" or user.policy is not None)


def depends_on_object(principal: Principal, action: str, access: BucketAccess) -> bool:
    """Whether `evaluate` must be told of the object."""
    if action not in OBJECT_ACTIONS:
        return False
    return access.ownership != ENFORCED or any(each.needs_object(action) for each in policies_of(principal, access))


def policies_of(principal: Principal, access: BucketAccess) -> list[Policy]:
    """The policies that have a say: that of the user, and that of the bucket."""
    return [each for each in (principal.policy, access.policy) if each is not None]


def evaluate(
    principal: Principal,
    action: str,
    bucket: str,
    access: BucketAccess,
    record: str = "",
    *,
    key: str = "",
    context: Context = NOTHING,
) -> Decision:
    """Decide.

    :param action: of IAM, e.g. ``s3:GetObject``.
    :param bucket: its name; "" for what belongs to none.
    :param access: what is known of it; for what belongs to no bucket, and for a bucket that is to be made, one of the
        principal's own.
    :param record: what the object has recorded of its owner and its ACL, "" for nothing.
    :param key: of the object; "" for what is of the bucket.
    :param context: what the conditions of policies are told.
    """
    if not user_may(principal, action, bucket):
        return Decision(False, "neither the role nor the buckets of the user allow it")
    user = principal.user
    mine = None if user is None else user.policy
    acl, rights = access.acl, _BUCKET_RIGHTS
    if access.ownership != ENFORCED and action in OBJECT_ACTIONS and action not in _OF_BUCKET_OWNER:
        acl, rights = object_acl(access, record), _OBJECT_RIGHTS
    own = user is not None and (
        user.account == acl.owner or (action in _OF_BUCKET_OWNER_TOO and user.account == access.owner)
    )
    granted = verdict = None
    if mine is not None:
        granted = mine.judge(_EVERYBODY, action, f"{bucket}/{key}" if key else bucket, context)
        if granted is not None and not granted.allows:
            return Decision(False, f"a policy of the user denies it: {granted.statement}", explicit=True)
    if access.policy is not None and not _is_exempt(principal, action, access):
        verdict = access.policy.judge(
            _identities(principal),
            action,
            f"{bucket}/{key}" if key else bucket,
            context,
            # To whom it belongs, all is allowed that is not denied.
            allowed=(NOBODY if own else None) if mine is None else _allowed_as(principal, access),
        )
        if verdict is not None and not verdict.allows:
            return Decision(False, f"the bucket policy denies it: {verdict.statement}", explicit=True)
        if access.policy.is_public and access.blocks(RESTRICT_BUCKETS) and not _is_of_owner(principal, access.owner):
            return Decision(False, "the bucket policy is public, and the public access block restricts it")
    if own and mine is None:
        return _OWN
    if own and granted is not None:
        return Decision(True, f"a policy of the user allows it: {granted.statement}", explicit=True)
    if not own and mine is not None and granted is None:
        return _NOT_GRANTED  # the other account gives to this one, which gives to its users
    # The policy of a bucket gives away only what belongs to the bucket's owner.
    if verdict is not None and acl.owner == access.owner:
        return _allowed_by(verdict.statement)
    if own:
        return _NOT_GRANTED
    if not access.has_acls:
        return Decision(False, "it belongs to another account, and ACLs are disabled")
    needed = rights.get(action)
    if not needed:
        return Decision(False, "it belongs to another account, and no ACL allows this")
    for grantee, permission in acl.grants:
        if permission in (needed, FULL_CONTROL) and _is_one_of(principal, grantee, access):
            return Decision(True, f"the ACL gives {permission} to {grantee}")
    return Decision(False, f"the ACL does not give {needed}")


def allows_without_policy(principal: Principal, action: str, bucket: str, access: BucketAccess) -> bool:
    """Whether an action would be allowed if neither the bucket nor the user had a policy."""
    user = principal.user
    if user is not None and user.policy is not None:
        principal = Principal(replace(user, policy=None))
    return evaluate(principal, action, bucket, replace(access, policy=None)).allowed


def is_possible(principal: Principal, action: str, bucket: str, access: BucketAccess) -> bool:
    """Whether an action on objects can be allowed for one of them; what is not told yet is which."""
    given = access.policy is not None and access.policy.can_allow(_allowed_as(principal, access), action)
    mine = principal.policy
    if mine is not None and not mine.can_allow(_EVERYBODY, action):
        return given and _is_of_owner(principal, access.owner)
    return given or allows_without_policy(principal, action, bucket, access)


def _is_of_owner(principal: Principal, owner: str) -> bool:
    return principal.user is not None and principal.account == owner


def _is_exempt(principal: Principal, action: str, access: BucketAccess) -> bool:
    """Whether no policy can deny it: as AWS's root user, an administrator can undo whatever a policy did."""
    user = principal.user
    return (
        action in _POLICY_ACTIONS
        and user is not None
        and (user.role == "admin" and user.policy is None)
        and user.account == access.owner
    )


def _identities(principal: Principal) -> frozenset[str]:
    return policies.identities(principal.account, None if principal.user is None else principal.user.name)


def _allowed_as(principal: Principal, access: BucketAccess) -> frozenset[str]:
    """As whom the policy of a bucket can allow something to a principal."""
    user = principal.user
    if user is not None and user.policy is not None and user.account == access.owner:
        return policies.identities_of_user(user.account, user.name)
    return _identities(principal)


def _is_one_of(principal: Principal, grantee: str, access: BucketAccess) -> bool:
    if grantee in EVERYBODY and access.blocks(IGNORE_ACLS):
        return False
    if grantee == ALL_USERS:
        return True
    if grantee == AUTHENTICATED_USERS:
        return principal.user is not None
    return grantee == principal.account


def object_acl(access: BucketAccess, record: str) -> Acl:
    """The ACL of an object, as it counts now.

    :param record: what the object has recorded of it, "" for nothing.
    """
    return read_acl(record) if record and access.has_acls else private(access.owner)


def object_record(access: BucketAccess, acl: Acl) -> str:
    """What an object must have recorded so that `object_acl` gives this."""
    return "" if acl == private(access.owner) else acl.text
