"""From a request to the evaluation: gathers what `zs3.auth.access` must be told, and raises what it denies.

What depends on the object is decided from the very object that is opened,
looked at or changed, so that no other can take its place in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zs3.auth import access
from zs3.auth.access import (
    GET_TAGGING,
    LIST_BUCKET,
    LIST_VERSIONS,
    OBJECT_ACTIONS,
    PUT_LEGAL_HOLD,
    PUT_OBJECT,
    PUT_RETENTION,
    PUT_TAGGING,
    BucketAccess,
    Decision,
    Principal,
)
from zs3.auth.acl import private
from zs3.auth.policy_conditions import NOTHING, Context, Overlay
from zs3.auth.policy_names import EXISTING_TAG, REQUEST_TAG, REQUEST_TAG_KEYS, VERSION_ID, is_of_object
from zs3.errors import S3Error
from zs3.store.interface import IObjectReader
from zs3.store.values import (
    NOT_CONFIGURED,
    Attributes,
    BucketState,
    Configuration,
    DamagedError,
    DeleteMarkerError,
    ObjectInfo,
)


class Denied(S3Error):
    """AccessDenied.

    :ivar reason: for the log alone.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("AccessDenied")
        self.reason = reason


class Gate:
    """What a request may do in one bucket.

    Actions are named as they are without a version; where the request names one, the other action of IAM is meant.

    :ivar name: of the bucket; "" for what belongs to none.
    :ivar access: what is known of it.
    :ivar key: of the object that it is about; "" for none.
    :ivar version: the id of the version of it that the request names; "" where it names none.
    :ivar configuration: of the bucket.
    :ivar context: what the conditions of policies are told.
    :ivar request_tags: those that the request gives by other ways than a header, once they are known.
    :ivar request_lock: what conditions are told of the lock that it asks for in its body, once that is known.
    """

    __slots__ = (
        "access",
        "configuration",
        "context",
        "key",
        "name",
        "principal",
        "request_lock",
        "request_tags",
        "version",
    )

    def __init__(
        self,
        principal: Principal,
        name: str,
        access: BucketAccess,
        key: str = "",
        context: Context = NOTHING,
        configuration: Configuration = NOT_CONFIGURED,
    ) -> None:
        self.principal, self.name, self.access, self.key, self.context = principal, name, access, key, context
        self.configuration = configuration
        self.version = ""
        self.request_tags: Mapping[str, str] | None = None
        self.request_lock: Mapping[str, str] = {}

    def _meant(self, action: str) -> str:
        return access.on_version(action) if self.version else action

    def decide(
        self, action: str, attributes: Attributes | None = None, *, key: str = "", told: Mapping[str, str] | None = None
    ) -> Decision:
        """Whether an action is allowed.

        :param attributes: of the object, for an action on what it is.
        :param key: of the object, where it is not that of the gate.
        :param told: what conditions are told instead of what the request says.
        """
        action = self._meant(action)
        record = "" if attributes is None else attributes.access
        if self.access.policy is None and self.principal.policy is None:
            return access.evaluate(self.principal, action, self.name, self.access, record)
        above: dict[str, tuple[str, ...]] = {VERSION_ID: (self.version,)} if self.version else {}
        for each in (self.request_lock, told):
            if each:
                above |= {name: (value,) for name, value in each.items()}
        if attributes is not None and attributes.tags:
            above |= {EXISTING_TAG + name: (value,) for name, value in attributes.tags.items()}
        if self.request_tags is not None:
            above |= {REQUEST_TAG + name: (value,) for name, value in self.request_tags.items()}
            above[REQUEST_TAG_KEYS] = tuple(self.request_tags)
        context = Overlay(above, self.context) if above else self.context
        key = (key or self.key) if is_of_object(action) else ""
        return access.evaluate(self.principal, action, self.name, self.access, record, key=key, context=context)

    def may(self, action: str, attributes: Attributes | None = None) -> bool:
        """As `decide`."""
        return self.decide(action, attributes).allowed

    def check(
        self, action: str, attributes: Attributes | None = None, *, key: str = "", told: Mapping[str, str] | None = None
    ) -> None:
        """As `decide`; raises `Denied`."""
        decision = self.decide(action, attributes, key=key, told=told)
        if not decision.allowed:
            raise Denied(decision.reason)

    def may_know(self) -> bool:
        """Whether it may be told that there is no object `key`: a listing with that prefix would tell.

        Likewise of a version of it.
        """
        return self.decide(self._listing, told={"s3:prefix": self.key}).allowed

    @property
    def _listing(self) -> str:
        """The action of the listing that would tell whether there is what the request is about."""
        return LIST_VERSIONS if self.version else LIST_BUCKET

    def may_see_tags(self, attributes: Attributes) -> bool:
        """Whether it may be told that an object has tags, if it has any."""
        return not attributes.tags or self.may(GET_TAGGING, attributes)

    def check_knowing(self, key: str, version: str = "") -> None:
        """As `may_know`, of another object, or a version of it; raises `Denied`."""
        self.check(LIST_VERSIONS if version else self._listing, told={"s3:prefix": key})

    def told(self, error: S3Error, action: str) -> S3Error:
        """What may be told instead of an error of an action: that there is no such object, not to everybody."""
        if error.code in ("NoSuchKey", "NoSuchVersion") or isinstance(error, DeleteMarkerError):
            if not self.may_know():
                return Denied("there is no such object, and who may not list the bucket is not told")
            decision = self.decide(action)
            if decision.explicit and not decision.allowed:
                return Denied(decision.reason)
        return error

    def waits_for_body(self, action: str) -> bool:
        """Whether an action can only be decided with the tags or the lock that the body of its request gives."""
        if action not in (PUT_TAGGING, PUT_RETENTION, PUT_LEGAL_HOLD):
            return False
        action = self._meant(action)
        return any(each.needs_body(action) for each in access.policies_of(self.principal, self.access))

    def depends_on_object(self, action: str) -> bool:
        """Whether `decide` must be told of the object."""
        return access.depends_on_object(self.principal, self._meant(action), self.access)

    def check_tags_of_new_object(self) -> None:
        """Raise `Denied` if an object that may be made may not be given tags with it."""
        decision = self.decide(PUT_TAGGING)
        if decision.allowed:
            return
        # Who may write by an ACL may; by a policy, that must allow this too.
        if decision.explicit or not access.allows_without_policy(self.principal, PUT_OBJECT, self.name, self.access):
            raise Denied(decision.reason)

    def store_for(self, action: str, store: Any) -> Any:
        """The store, for an operation that needs this action; raises `Denied` where that is certain by now."""
        if is_of_object(action) and not self.key:
            # Which ones, the body says; each is asked for then.
            actions = (action, access.on_version(action))
            if not any(access.is_possible(self.principal, each, self.name, self.access) for each in actions):
                raise Denied("it is allowed for no object")
            return store
        if action not in OBJECT_ACTIONS:
            self.check(action)
            return store
        if self.depends_on_object(action) or self.waits_for_body(action):
            return JudgedStore(store, self, action)
        self.check(action)
        return store if self.may_know() else JudgedStore(store, self, action)


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
    state = store.look_now(name)
    if state is None:
        state = await store.look_at(name)
    found = access.bucket_access(state.configuration, ownership, name)
    found = found.within(await account_block(store, found.owner))
    return Gate(principal, state.name, found, configuration=state.configuration)


async def account_block(store: Any, account: str) -> frozenset[str]:
    """What is blocked for all buckets of an account."""
    found = account_block_now(store, account)
    if found is not None:
        return found
    try:
        configuration: Configuration = await store.get_account(account)
    except DamagedError:
        return access.ALL_BLOCKED
    return access.account_block(configuration)


def account_block_now(store: Any, account: str) -> frozenset[str] | None:
    """The same, at once; None where only that can tell."""
    try:
        configuration: Configuration | None = store.get_account_now(account)
    except DamagedError:
        return access.ALL_BLOCKED
    return None if configuration is None else access.account_block(configuration)


class JudgedStore:
    """The store as an operation sees it whose right depends on the object.

    It has no more than such an operation needs: what is not judged here is not to be had.
    """

    def __init__(self, store: Any, gate: Gate, action: str) -> None:
        self._store, self._gate, self._action = store, gate, action

    def look_now(self, name: str) -> BucketState | None:
        found: BucketState | None = self._store.look_now(name)
        return found

    async def look_at(self, name: str) -> BucketState:
        found: BucketState = await self._store.look_at(name)
        return found

    async def get_account(self, account: str) -> Configuration:
        found: Configuration = await self._store.get_account(account)
        return found

    def get_account_now(self, account: str) -> Configuration | None:
        found: Configuration | None = self._store.get_account_now(account)
        return found

    def _judge(self, info: ObjectInfo) -> None:
        self._gate.check(self._action, info.attributes)

    async def open_object(self, bucket: str, key: str, version: str = "") -> IObjectReader:
        try:
            reader: IObjectReader = await self._store.open_object(bucket, key, version)
        except S3Error as error:
            raise self._gate.told(error, self._action) from None
        try:
            self._judge(reader.info())
        except BaseException:
            reader.close()
            raise
        return reader

    async def get_object_info(self, bucket: str, key: str, version: str = "") -> ObjectInfo:
        try:
            info: ObjectInfo = await self._store.get_object_info(bucket, key, version)
        except S3Error as error:
            raise self._gate.told(error, self._action) from None
        self._judge(info)
        return info

    async def get_part_checksums(self, bucket: str, info: ObjectInfo) -> Sequence[bytes]:
        self._judge(info)
        found: Sequence[bytes] = await self._store.get_part_checksums(bucket, info)
        return found

    async def change_object(
        self, bucket: str, key: str, change: Callable[[ObjectInfo], Attributes], version: str = ""
    ) -> ObjectInfo:
        def judged(info: ObjectInfo) -> Attributes:
            self._judge(info)
            return change(info)

        try:
            info: ObjectInfo = await self._store.change_object(bucket, key, judged, version)
        except S3Error as error:
            raise self._gate.told(error, self._action) from None
        return info
