"""Object Lock: its operations, and what it adds to those that make, delete and read objects.

The rules are `zs3.web.retention`'s affair.  That a protected version stays is the
store's: it looks under the lock of the key, whatever asks for the deletion.

Sources: Amazon S3 User Guide, "Locking objects with Object Lock"; API Reference,
PutObjectLockConfiguration, PutObjectRetention, PutObjectLegalHold, PutObject.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from zs3.auth.access import (
    BYPASS_GOVERNANCE,
    GET_LEGAL_HOLD,
    GET_RETENTION,
    PUT_LEGAL_HOLD,
    PUT_RETENTION,
)
from zs3.auth.policy_names import VERSION_ID
from zs3.errors import S3Error
from zs3.events.rules import RETENTION_PUT
from zs3.store.values import ENABLED, NOT_LOCKED, OBJECT_LOCK, VERSIONING, Attributes, Lock, ObjectInfo
from zs3.web import retention
from zs3.web.announcing import announce
from zs3.web.authorize import Gate
from zs3.web.bodies import CONFIGURATION_SIZE
from zs3.web.call import Call
from zs3.web.dates import NS
from zs3.web.headers import check_bucket_owner, has_digest
from zs3.web.responses import send_empty, send_xml
from zs3.web.retention import LEGAL_HOLD, MODE, UNTIL, BucketLock, bucket_lock
from zs3.web.versions import version_header

BYPASS = "x-amz-bypass-governance-retention"
NEW_BUCKET = "x-amz-bucket-object-lock-enabled"


def _now(call: Call) -> int:
    return int(call.settings.clock.seconds() * NS)


# For other operations -------------------------------------------------------------------------------------------------


def configuration_of_locked_bucket(call: Call) -> dict[str, Any]:
    """What a bucket that is to be made has configured so that its versions can be locked; nothing if they are not.

    :raises S3Error: InvalidArgument.
    :raises Denied: both rights are needed.
    """
    wanted = call.header(NEW_BUCKET) or "false"
    if wanted.lower() not in ("true", "false"):
        raise S3Error("InvalidArgument", ArgumentName=NEW_BUCKET, ArgumentValue=wanted)
    if wanted.lower() == "false":
        return {}
    call.gate.check("s3:PutBucketObjectLockConfiguration")
    call.gate.check("s3:PutBucketVersioning")
    return {VERSIONING: ENABLED, OBJECT_LOCK: BucketLock().configured}


def lock_of_new_object(call: Call, *, at_once: bool = True) -> Lock:
    """What keeps the version that the request makes from being deleted.

    :param at_once: whether it makes one now, which has what new ones have; an upload only keeps what is asked for.
    :raises S3Error: InvalidRequest in a bucket without Object Lock; InvalidArgument.
    :raises Denied: a right is missing.
    """
    bucket = bucket_lock(call.gate.configuration)
    if bucket is None:
        if any(call.header(name) is not None for name in (MODE, UNTIL, LEGAL_HOLD)):
            raise retention.no_bucket_lock()
        return NOT_LOCKED
    asked, hold = retention.requested_lock(call.header, _now(call))
    if asked is not None:
        call.gate.check(PUT_RETENTION)
    if hold is not None:
        call.gate.check(PUT_LEGAL_HOLD)
    lock = asked or (default_lock(call) if at_once else NOT_LOCKED)
    return replace(lock, legal_hold=hold or False)


def default_lock(call: Call) -> Lock:
    """What a version that is made now has in this bucket if nothing is said of it."""
    bucket = bucket_lock(call.gate.configuration)
    return NOT_LOCKED if bucket is None or bucket.default is None else bucket.default.lock(_now(call))


def check_digest(call: Call, lock: Lock, what: str) -> None:
    """Refuse bytes that are to be locked if nothing tells whether they came undamaged: they could not be put right.

    :param lock: of the version that they are for.
    :param what: the words of S3 for the request.
    :raises S3Error: InvalidRequest.
    """
    if lock != NOT_LOCKED and not has_digest(call.header):
        raise S3Error(
            "InvalidRequest",
            f"Content-MD5 OR x-amz-checksum- HTTP header is required for {what} requests with Object Lock parameters",
        )


def bypasses_governance(call: Call, key: str = "", version: str = "") -> bool:
    """Whether the request asks to pass over retentions in governance mode, and may.

    :param key: of the object, where that is not in the path; with `version`, its id.
    """
    if (call.header(BYPASS) or "").lower() != "true":
        return False
    told = {VERSION_ID: version} if version else None
    return call.gate.decide(BYPASS_GOVERNANCE, key=key, told=told).allowed


def lock_headers(gate: Gate, attributes: Attributes) -> dict[str, bytes]:
    """What GET and HEAD say of a version's lock to who may know."""
    lock, told = attributes.lock, {}
    if lock.mode and gate.may(GET_RETENTION, attributes):
        told[MODE] = lock.mode.encode("ascii")
        told[UNTIL] = retention.lock_date(lock.until_ns).encode("ascii")
    if lock.legal_hold and gate.may(GET_LEGAL_HOLD, attributes):
        told[LEGAL_HOLD] = retention.hold_text(lock).encode("ascii")
    return told


# Of a bucket ----------------------------------------------------------------------------------------------------------


async def put_object_lock_configuration(call: Call) -> None:
    """PutObjectLockConfiguration: it is never switched off again, as there is no way to say so."""
    check_bucket_owner(call.header, call.owner.id)
    wanted = retention.parse_configuration(await call.read_document(CONFIGURATION_SIZE))

    def change(configuration: dict[str, Any]) -> None:
        if configuration.get(VERSIONING) != ENABLED:
            raise S3Error(
                "InvalidBucketState",
                "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
            )
        configuration[OBJECT_LOCK] = wanted.configured

    await call.store.change_configuration(call.bucket, change)
    send_empty(call.request, 200)


async def get_object_lock_configuration(call: Call) -> None:
    """GetObjectLockConfiguration."""
    check_bucket_owner(call.header, call.owner.id)
    found = bucket_lock(await call.store.get_configuration(call.bucket))
    if found is None:
        raise S3Error("ObjectLockConfigurationNotFoundError", BucketName=call.bucket)
    send_xml(call.request, retention.configuration_document(found))


# Of a version ---------------------------------------------------------------------------------------------------------


def _check(call: Call) -> None:
    """What all of these need: a bucket with Object Lock.  InvalidRequest."""
    check_bucket_owner(call.header, call.owner.id)
    if bucket_lock(call.gate.configuration) is None:
        raise retention.no_bucket_lock()


async def _change(call: Call, how: Callable[[Lock], Lock]) -> ObjectInfo:
    def change(info: ObjectInfo) -> Attributes:
        return replace(info.attributes, lock=how(info.attributes.lock))

    info: ObjectInfo = await call.store.change_object(call.bucket, call.key, change, call.version)
    return info


async def put_object_retention(call: Call) -> None:
    """PutObjectRetention."""
    _check(call)
    wanted = retention.parse_retention(await call.read_document(CONFIGURATION_SIZE), _now(call))
    call.gate.request_lock = retention.conditions_of(wanted, _now(call))
    bypass = bypasses_governance(call)
    info = await _change(call, lambda lock: retention.with_retention(lock, wanted, _now(call), bypass=bypass))
    await announce(call, RETENTION_PUT, info)
    send_empty(call.request, 200, version_header(call.gate.configuration, info.version))


async def get_object_retention(call: Call) -> None:
    """GetObjectRetention."""
    _check(call)
    info: ObjectInfo = await call.store.get_object_info(call.bucket, call.key, call.version)
    if not info.attributes.lock.mode:
        raise S3Error("NoSuchObjectLockConfiguration")
    document = retention.retention_document(info.attributes.lock)
    send_xml(call.request, document, headers=version_header(call.gate.configuration, info.version))


async def put_object_legal_hold(call: Call) -> None:
    """PutObjectLegalHold: whoever may, may also take it away."""
    _check(call)
    hold = retention.parse_legal_hold(await call.read_document(CONFIGURATION_SIZE))
    call.gate.request_lock = {retention.KEY_LEGAL_HOLD: retention.hold_text(Lock(legal_hold=hold))}
    info = await _change(call, lambda lock: replace(lock, legal_hold=hold))
    send_empty(call.request, 200, version_header(call.gate.configuration, info.version))


async def get_object_legal_hold(call: Call) -> None:
    """GetObjectLegalHold.  It is not kept whether one that is off was ever on."""
    _check(call)
    info: ObjectInfo = await call.store.get_object_info(call.bucket, call.key, call.version)
    document = retention.legal_hold_document(info.attributes.lock)
    send_xml(call.request, document, headers=version_header(call.gate.configuration, info.version))
