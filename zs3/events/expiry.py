"""Announces what the rules of lifecycles do to objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from zs3.auth.access import ENFORCED, bucket_access
from zs3.errors import S3Error
from zs3.events.announcer import Events
from zs3.events.records import LIFECYCLE, Event, with_kept_version
from zs3.events.rules import EXPIRED, EXPIRED_BY_MARKER
from zs3.lifecycle.passes import Action
from zs3.store.values import BucketState, Deletion


def expiry_announcer(store: Any, events: Events) -> Callable[[Action, Deletion], Deferred[None]]:
    """What a `Pass` tells of what it did.

    :param store: an `IStore`.
    """

    async def announce(action: Action, deletion: Deletion) -> None:
        try:
            state: BucketState = store.look_now(action.bucket) or await store.look_at(action.bucket)
        except S3Error:
            return  # of a bucket that is no more nobody is told
        if not events.wanted(state.configuration, action.bucket):
            return
        by_marker = deletion.is_delete_marker and not action.version
        version = action.version or deletion.version
        name = EXPIRED_BY_MARKER if by_marker else EXPIRED
        event = with_kept_version(Event(name, state.name, action.key, LIFECYCLE, version=version), state.configuration)
        await events.announce(state.configuration, bucket_access(state.configuration, ENFORCED).owner, [event])

    return lambda action, deletion: Deferred.fromCoroutine(announce(action, deletion))
