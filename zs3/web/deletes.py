"""DeleteObjects: up to 1000 objects in one request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from zs3 import checksums
from zs3.auth.access import DELETE_OBJECT
from zs3.errors import S3Error
from zs3.store.interface import WriteCondition
from zs3.web import documents, names
from zs3.web.bodies import DELETE_SIZE, DeleteEntry, parse_delete
from zs3.web.call import Call
from zs3.web.conditions import entry_condition
from zs3.web.headers import check_bucket_owner
from zs3.web.objects import is_null_version
from zs3.web.responses import send_xml

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
    failures = await _Deletes(call).run(request.entries)
    outcomes = ((entry.key, entry.version, failure) for entry, failure in zip(request.entries, failures, strict=True))
    send_xml(call.request, documents.delete_result(outcomes, quiet=request.quiet))


def _check_integrity(call: Call) -> None:
    """The list of what is to go must not be damaged on its way.  InvalidRequest."""
    if all(call.header(name) is None for name in ("content-md5", "x-amz-trailer", *checksums.HEADERS)):
        raise S3Error("InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")


@dataclass
class _Deletes:
    """The deletes of one request, `WIDTH` of them at a time."""

    call: Call
    failures: dict[int, S3Error] = field(default_factory=dict)

    async def run(self, entries: tuple[DeleteEntry, ...]) -> list[S3Error | None]:
        """Why each of them failed, None where it did not."""
        waiting = iter(enumerate(entries))
        await gatherResults([Deferred.fromCoroutine(self._work(waiting)) for _ in range(WIDTH)], consumeErrors=True)
        return [self.failures.get(number) for number in range(len(entries))]

    async def _work(self, waiting: Iterator[tuple[int, DeleteEntry]]) -> None:
        for number, entry in waiting:
            try:
                await self._delete(entry)
            except S3Error as error:
                self.failures[number] = error
            except Exception:
                _log.failure("request {request_id}: a delete failed", request_id=self.call.request.request_id)
                self.failures[number] = S3Error("InternalError")

    async def _delete(self, entry: DeleteEntry) -> None:
        names.check_key(entry.key)
        told = {"s3:versionid": entry.version} if entry.version else None
        self.call.gate.check(DELETE_OBJECT, key=entry.key, told=told)
        condition = entry_condition(entry.etag, entry.size, entry.modified)
        if condition != WriteCondition():
            # Whether it holds tells what is there.
            self.call.gate.check_knowing(entry.key)
        if not entry.version or is_null_version(entry.version):
            await self.call.store.delete_object(self.call.bucket, entry.key, condition)
