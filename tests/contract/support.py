"""What the contract tests share: a plain body, Deferreds that must have fired, and shorthand for the store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from zs3.checksums import Checksum
from zs3.store.deferred import FilesystemStore
from zs3.store.values import (
    Attributes,
    AttributesChange,
    CompletedPart,
    Configuration,
    Deletion,
    Digests,
    ListQuery,
    ObjectInfo,
    PartInfo,
    UploadInfo,
    VersionsPage,
    VersionsQuery,
    WriteCondition,
)

T = TypeVar("T")

ALWAYS = WriteCondition()
CREATE = WriteCondition(if_none_match="*")


def fired(work: Deferred[T] | Coroutine[Deferred[Any], Any, T]) -> T:
    """The result of a Deferred that must have one by now; its failure is raised."""
    deferred = work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)
    results: list[Any] = []
    deferred.addBoth(results.append)
    assert results, "the Deferred has not fired"
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


class Body:
    """An `Ingest` that takes the bytes as they are."""

    def __init__(self, checksum: Checksum | None = None, error: Exception | None = None) -> None:
        self._md5 = hashlib.md5()
        self._size = 0
        self._checksum = checksum
        self._error = error
        self._own = True

    def feed(self, data: bytes, /) -> list[bytes]:
        if self._own:
            self._md5.update(data)
        self._size += len(data)
        return [data]

    def split(self) -> Callable[[bytes], object]:
        self._own = False
        return self._md5.update

    def finish(self) -> Digests:
        if self._error is not None:
            raise self._error
        return Digests(self._md5.digest(), self._size, self._checksum)


@dataclass(frozen=True)
class Page:
    """A `ListPage` with the objects themselves."""

    objects: Sequence[ObjectInfo]
    prefixes: Sequence[str]
    truncated: bool
    last: str


class Client:
    """Shorthand for a store whose Deferreds fire at once, on the bucket ``bucket``."""

    def __init__(self, store: FilesystemStore) -> None:
        self.store = store
        self.shown: list[ObjectInfo] = []
        self._show = self._number

    def put(
        self,
        key: str,
        data: bytes = b"data",
        *,
        bucket: str = "bucket",
        condition: WriteCondition = ALWAYS,
        attributes: Attributes | None = None,
        body: Body | None = None,
    ) -> ObjectInfo:
        writer = self.store.put_object(
            bucket,
            key,
            body or Body(),
            attributes=attributes or Attributes(),
            condition=condition,
            length=len(data),
        )
        if data:
            fired(writer.write(data))
        info: ObjectInfo = fired(writer.commit())
        return info

    def get(self, key: str, bucket: str = "bucket", version: str = "") -> bytes:
        reader = fired(self.store.open_object(bucket, key, version))
        try:
            return fired(reader.read(0, reader.info().size))
        finally:
            reader.close()

    def info(self, key: str, bucket: str = "bucket", version: str = "") -> ObjectInfo:
        return fired(self.store.get_object_info(bucket, key, version))

    def change(self, key: str, bucket: str = "bucket", version: str = "", **attributes: Any) -> ObjectInfo:
        """Change some of an object's `Attributes`."""
        how: AttributesChange = lambda info: replace(info.attributes, **attributes)  # noqa: E731
        return fired(self.store.change_object(bucket, key, how, version))

    def delete(self, key: str, bucket: str = "bucket", condition: WriteCondition = ALWAYS) -> bool:
        return self.remove(key, "", bucket, condition).found

    def remove(
        self, key: str, version: str, bucket: str = "bucket", condition: WriteCondition = ALWAYS, **options: Any
    ) -> Deletion:
        """Remove a version; "" for an object's deletion."""
        return fired(self.store.delete_object(bucket, key, condition, version=version, **options))

    def versions(self, bucket: str = "bucket", **query: Any) -> list[tuple[ObjectInfo, bool]]:
        """The versions of one page, and whether each is the latest."""
        return self.versions_page(bucket, **query)[0]

    def versions_page(self, bucket: str = "bucket", **query: Any) -> tuple[list[tuple[ObjectInfo, bool]], VersionsPage]:
        shown: list[tuple[ObjectInfo, bool]] = []

        def show(info: ObjectInfo, latest: bool) -> bytes:
            shown.append((info, latest))
            return b"%d" % (len(shown) - 1)

        page = fired(self.store.list_versions(bucket, VersionsQuery(**query), show))
        return [shown[int(each)] for each in page.versions], page

    def page(self, bucket: str = "bucket", **query: Any) -> Page:
        """A page with the objects themselves: what is shown of each is where it is in a list."""
        page = fired(self.store.list_objects(bucket, ListQuery(**query), self._show))
        return Page([self.shown[int(each)] for each in page.objects], page.prefixes, page.truncated, page.last)

    def _number(self, info: ObjectInfo) -> bytes:
        self.shown.append(info)
        return b"%d" % (len(self.shown) - 1)

    def listed(self, bucket: str = "bucket", **query: Any) -> list[str]:
        return [info.key for info in self.page(bucket, **query).objects]

    def all_pages(self, limit: int, **query: Any) -> tuple[list[str], list[str]]:
        """The keys and common prefixes of all pages."""
        keys: list[str] = []
        prefixes: list[str] = []
        after = ""
        while True:
            page = self.page(limit=limit, after=after, **query)
            keys += [info.key for info in page.objects]
            prefixes += page.prefixes
            if not page.truncated:
                return keys, prefixes
            assert page.last > after or not after
            after = page.last

    def configure(self, bucket: str = "bucket", **values: Any) -> dict[str, Any]:
        """Configure a bucket; None takes a value away."""

        def change(configured: dict[str, Any]) -> None:
            configured.update(values)
            for name in [name for name, value in configured.items() if value is None]:
                del configured[name]

        return dict(fired(self.store.change_configuration(bucket, change)))

    def copy(self, source: str, key: str, **options: Any) -> ObjectInfo:
        defaults: dict[str, Any] = {"check": lambda _: None, "attributes": None, "condition": ALWAYS}
        return fired(self.store.copy_object("bucket", source, "bucket", key, **(defaults | options)))

    def begin(self, key: str, **options: Any) -> UploadInfo:
        defaults: dict[str, Any] = {"attributes": Attributes(), "checksum_algorithm": "", "checksum_type": ""}
        return fired(self.store.create_upload("bucket", key, **(defaults | options)))

    def part(self, upload: UploadInfo, number: int, data: bytes, checksum: Checksum | None = None) -> PartInfo:
        writer = self.store.put_part("bucket", upload.key, upload.upload_id, number, Body(checksum), length=len(data))
        if data:
            fired(writer.write(data))
        info: PartInfo = fired(writer.commit())
        return info

    def complete(self, upload: UploadInfo, parts: list[PartInfo], **options: Any) -> ObjectInfo:
        named = [CompletedPart(part.number, part.etag) for part in parts]
        defaults: dict[str, Any] = {"condition": ALWAYS}
        return fired(self.store.complete_upload("bucket", upload.key, upload.upload_id, named, **(defaults | options)))


def told_now(client: Client, bucket: str = "bucket") -> Configuration | None:
    """What is told at once to be configured of a bucket; None if only a look can tell."""
    state = client.store.look_now(bucket)
    return None if state is None else state.configuration


def open_client(data: Path, **options: Any) -> Client:
    """A client of a store that is started on `data`, whose hops happen at once.

    :param options: of `FilesystemStore`.
    """
    store = FilesystemStore(str(data), execute, Clock(), **options)
    fired(store.start())
    return Client(store)
