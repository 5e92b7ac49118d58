"""DeleteObjects: up to 1000 objects in one request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from zs3.auth.access import DELETE_OBJECT, on_version
from zs3.auth.policy_names import VERSION_ID
from zs3.errors import S3Error
from zs3.store.values import Deletion, WriteCondition
from zs3.web import documents, names
from zs3.web.announcing import announce_deletions
from zs3.web.bodies import DELETE_SIZE, DeleteEntry, parse_delete
from zs3.web.call import Call
from zs3.web.conditions import entry_condition
from zs3.web.created import access_of_delete_marker
from zs3.web.headers import check_bucket_owner, has_digest
from zs3.web.locking import bypasses_governance
from zs3.web.responses import send_xml
from zs3.web.versions import is_version

#: Deletes under way at once: enough for the disk to group them, and other requests still get their turn.
WIDTH = 8

_log = Logger()


async def delete_objects(call: Call) -> None:
    """DeleteObjects: each object by itself; what fails is told in the answer."""
    check_bucket_owner(call.header, call.owner.id)
    _check_integrity(call)
    request = parse_delete(await call.read_document(DELETE_SIZE))
    # So that a missing bucket is one error, not a thousand.
    await call.store.get_bucket(call.bucket)
    done = await _Deletes(call, access_of_delete_marker(call)).run(request.entries)
    deleted = (
        (entry.key, entry.version, outcome)
        for entry, outcome in zip(request.entries, done, strict=True)
        if isinstance(outcome, Deletion)
    )
    await announce_deletions(call, deleted)
    outcomes = ((entry.key, entry.version, outcome) for entry, outcome in zip(request.entries, done, strict=True))
    send_xml(call.request, documents.delete_result(outcomes, quiet=request.quiet))


def _check_integrity(call: Call) -> None:
    """The list of what is to go must not be damaged on its way.  InvalidRequest."""
    if not has_digest(call.header):
        raise S3Error("InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")


@dataclass
class _Deletes:
    """The deletes of one request, `WIDTH` of them at a time.

    :ivar access: what a delete marker has recorded; see `IStore.delete_object`.
    """

    call: Call
    access: str
    done: dict[int, Deletion | S3Error] = field(default_factory=dict)

    async def run(self, entries: tuple[DeleteEntry, ...]) -> list[Deletion | S3Error]:
        """What became of each of them, or why it failed."""
        waiting = iter(enumerate(entries))
        await gatherResults([Deferred.fromCoroutine(self._work(waiting)) for _ in range(WIDTH)], consumeErrors=True)
        return [self.done[number] for number in range(len(entries))]

    async def _work(self, waiting: Iterator[tuple[int, DeleteEntry]]) -> None:
        for number, entry in waiting:
            try:
                self.done[number] = await self._delete(entry)
            except S3Error as error:
                self.done[number] = error
            except Exception:
                _log.failure("request {request_id}: a delete failed", request_id=self.call.request.request_id)
                self.done[number] = S3Error("InternalError")

    async def _delete(self, entry: DeleteEntry) -> Deletion:
        names.check_key(entry.key)
        if entry.version:
            self.call.gate.check(on_version(DELETE_OBJECT), key=entry.key, told={VERSION_ID: entry.version})
            if not is_version(entry.version):
                raise S3Error("NoSuchVersion")
        else:
            self.call.gate.check(DELETE_OBJECT, key=entry.key)
        condition = entry_condition(entry.etag, entry.size, entry.modified)
        if condition != WriteCondition():
            # Whether it holds tells what is there.
            self.call.gate.check_knowing(entry.key, entry.version)
        bypass = bypasses_governance(self.call, entry.key, entry.version)
        deletion: Deletion = await self.call.store.delete_object(
            self.call.bucket, entry.key, condition, access=self.access, version=entry.version, bypass=bypass
        )
        return deletion
