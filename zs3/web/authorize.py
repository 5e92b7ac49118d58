"""From a request to the evaluation: gathers what `zs3.auth.access` must be told, and raises what it denies.

What depends on the object is decided from the very object that is opened,
looked at or changed, so that no other can take its place in between.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zs3.auth import access
from zs3.auth.access import LIST_BUCKET, OBJECT_ACTIONS, BucketAccess, Principal
from zs3.auth.acl import private
from zs3.errors import S3Error
from zs3.store.interface import Attributes, IObjectReader, ObjectInfo


class Denied(S3Error):
    """AccessDenied.

    :ivar reason: for the log alone.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("AccessDenied")
        self.reason = reason


class Gate:
    """What a request may do in one bucket.

    :ivar name: of the bucket; "" for what belongs to none.
    :ivar access: what is known of it.
    """

    __slots__ = ("access", "name", "principal")

    def __init__(self, principal: Principal, name: str, access: BucketAccess) -> None:
        self.principal, self.name, self.access = principal, name, access

    def may(self, action: str, record: str = "") -> bool:
        """Whether an action is allowed; for one on an object, with what that has recorded of its owner and ACL."""
        return access.evaluate(self.principal, action, self.name, self.access, record).allowed

    def check(self, action: str, record: str = "") -> None:
        """As `may`; raises `Denied`."""
        decision = access.evaluate(self.principal, action, self.name, self.access, record)
        if not decision.allowed:
            raise Denied(decision.reason)

    def told(self, error: S3Error) -> S3Error:
        """What may be told instead of an error: that there is no such object, only to who may list the bucket."""
        if error.code == "NoSuchKey" and not self.may(LIST_BUCKET):
            return Denied("there is no such object, and who may not list the bucket is not told")
        return error

    def store_for(self, action: str, store: Any) -> Any:
        """The store, for an operation that needs this action; raises `Denied` where that is certain by now."""
        if action not in OBJECT_ACTIONS:
            self.check(action)
            return store
        if access.depends_on_object(action, self.access):
            return JudgedStore(store, self, action)
        self.check(action)
        return store if self.may(LIST_BUCKET) else JudgedStore(store, self, action)


def own_gate(principal: Principal, name: str, ownership: str) -> Gate:
    """The gate to what belongs to the principal, if to anybody: all buckets together, or one that is to be made."""
    default = access.untouched(ownership)
    return Gate(principal, name, BucketAccess(private(principal.account), default.ownership, False, default.block))


async def gate_of(store: Any, principal: Principal, name: str, action: str, ownership: str) -> Gate:
    """The gate to a bucket.

    :param action: what the request is about to do.
    :param ownership: what the daemon gives to a bucket of which nothing else is said.
    :raises Denied: for what the user may do nowhere, before the store is asked.
    :raises S3Error: NoSuchBucket, which everybody is told.
    """
    if not access.user_may(principal, action, name):
        raise Denied("neither the role nor the buckets of the user allow it")
    configuration = store.configuration_now(name)
    if configuration is None:
        configuration = await store.get_configuration(name)
    return Gate(principal, name, access.bucket_access(configuration, ownership))


class JudgedStore:
    """The store as an operation sees it whose right depends on the object.

    It has no more than such an operation needs: what is not judged here is not to be had.
    """

    def __init__(self, store: Any, gate: Gate, action: str) -> None:
        self._store, self._gate, self._action = store, gate, action

    def _judge(self, info: ObjectInfo) -> None:
        self._gate.check(self._action, info.attributes.access)

    async def open_object(self, bucket: str, key: str) -> IObjectReader:
        try:
            reader: IObjectReader = await self._store.open_object(bucket, key)
        except S3Error as error:
            raise self._gate.told(error) from None
        try:
            self._judge(reader.info())
        except BaseException:
            reader.close()
            raise
        return reader

    async def get_object_info(self, bucket: str, key: str) -> ObjectInfo:
        try:
            info: ObjectInfo = await self._store.get_object_info(bucket, key)
        except S3Error as error:
            raise self._gate.told(error) from None
        self._judge(info)
        return info

    async def change_object(self, bucket: str, key: str, change: Callable[[ObjectInfo], Attributes]) -> ObjectInfo:
        def judged(info: ObjectInfo) -> Attributes:
            self._judge(info)
            return change(info)

        try:
            info: ObjectInfo = await self._store.change_object(bucket, key, judged)
        except S3Error as error:
            raise self._gate.told(error) from None
        return info
