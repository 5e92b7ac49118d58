"""How operations announce what they did to objects: once it is done, and before they answer.

Where nobody wants to know, nothing is done here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from twisted.internet.defer import Deferred

from zs3.errors import S3Error
from zs3.events.records import ANONYMOUS, Cause, Event, with_kept_version
from zs3.events.rules import REMOVED, REMOVED_BY_MARKER
from zs3.store.values import BucketState, Configuration, Deletion, ObjectInfo
from zs3.web.call import Call

#: After so many seconds a request asks again what is configured.
_LONG_S = 1.0


async def _configuration(call: Call) -> Configuration:
    """What is configured of the bucket by now."""
    if call.settings.clock.seconds() - call.request.received_s > _LONG_S:
        with suppress(S3Error):  # the bucket is no more
            state: BucketState = call.store.look_now(call.bucket) or await call.store.look_at(call.bucket)
            return state.configuration
    return call.gate.configuration


async def _announce(call: Call, make: Callable[[Cause], Iterable[Event]]) -> None:
    events, configuration = call.settings.events, await _configuration(call)
    if not events.wanted(configuration, call.bucket):
        return
    user, request = call.principal.user, call.request
    cause = Cause(
        ANONYMOUS if user is None else user.name,
        getattr(request.client, "host", ""),
        request.request_id,
        request.site.host_id,
    )
    found = [with_kept_version(event, configuration) for event in make(cause)]
    await events.announce(configuration, call.access.owner, found)


async def announce(call: Call, name: str, info: ObjectInfo) -> None:
    """Announce that the object was made or changed.

    :param name: one of `zs3.events.rules`.
    :param info: the object as it is then.
    """

    def make(cause: Cause) -> Iterable[Event]:
        yield Event(name, call.bucket, call.key, cause, info.size, info.etag, info.version, info.mtime_ns)

    await _announce(call, make)


def announcing(call: Call, name: str) -> Callable[[ObjectInfo], Deferred[ObjectInfo]]:
    """`announce` as a callback, which passes the object on."""

    async def announced(info: ObjectInfo) -> ObjectInfo:
        await announce(call, name, info)
        return info

    return lambda info: Deferred.fromCoroutine(announced(info))


async def announce_deletions(call: Call, deletions: Iterable[tuple[str, str, Deletion]]) -> None:
    """Announce that objects or versions are no more.

    Also those that were gone before: who asks again because a crash took the answer had no event either.

    :param deletions: key, the id of the version that was asked for ("" for none), what became of it.
    """

    def make(cause: Cause) -> Iterable[Event]:
        for key, version, deletion in deletions:
            name = REMOVED_BY_MARKER if deletion.is_delete_marker and not version else REMOVED
            yield Event(name, call.bucket, key, cause, version=version or deletion.version)

    await _announce(call, make)
