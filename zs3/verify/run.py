"""A run over a data directory: one file after the other, what is found, how far it has come, and adopting.

Blocking.  It may be stopped after any piece of a file, and gone on with by
another run later, which begins with the key that this one was at.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress

from zs3.errors import S3Error
from zs3.store import changes
from zs3.store.buckets import Bucket, Buckets
from zs3.store.durability import Durability
from zs3.store.locks import WouldBlock
from zs3.store.staged import StagedFile
from zs3.store.values import DamagedError, PinnedName
from zs3.verify.check import Checked, Checker
from zs3.verify.files import BucketFiles, File, Troubles, opened
from zs3.verify.findings import Finding, Verdict
from zs3.verify.ledger import Ledger, Position, Progress, Selection
from zs3.verify.reading import Reader, Stopped, Throttle

#: Seconds between two notes of how far it has come.
_NOTE_S = 5.0
#: How often, and after how many seconds, a lock that another holds is tried again.
_TRIES, _PAUSE_S = 50, 0.02
_ADOPTED = (Verdict.FOREIGN, Verdict.EDITED, Verdict.UNVERIFIABLE)


class Run(Troubles):
    """A run.

    :param data: the data directory.
    :param ledger: where to note how far it has come; None to note nothing.
    :param report: told of each file that is not simply as recorded.
    :param progressed: told how many bytes were read.
    :ivar tally: what was found so far.
    :ivar is_over: whether all was looked at.
    """

    def __init__(
        self,
        data: str,
        selection: Selection,
        *,
        throttle: Throttle,
        report: Callable[[Finding], None],
        ledger: Ledger | None = None,
        progress: Progress | None = None,
        progressed: Callable[[int], None] = lambda _: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """:param progress: what to go on with."""
        self._data = os.path.realpath(os.fsencode(data))
        self._selection, self._throttle, self._report, self._ledger = selection, throttle, report, ledger
        self._now = now
        self._durability = Durability(enabled=True, report=lambda _: None)
        self._buckets = Buckets(self._data, self._durability, directory_mode=0o700)
        self._checker = Checker(Reader(throttle, progressed), adopting=selection.adopting)
        progress = progress or Progress()
        self._start = self._position = progress.position
        self.tally = progress.tally
        self.is_over = False
        self._before, self._began = progress.seconds, now()
        self._noted = now()
        #: of the key that is being looked at: it does not count before all of it is known
        self._pending: list[Finding] = []
        #: the bucket that it is at
        self._name = ""
        self._invisible: set[bytes] = set()

    @property
    def seconds(self) -> float:
        """How long it took, with what was done of it before."""
        return self._before + self._now() - self._began

    def make(self) -> None:
        """Make the run, or the rest of it.  Returns early when it is stopped.

        :raises S3Error: NoSuchBucket, of one that was named.
        :raises OSError: the data directory cannot be read.
        """
        try:
            for name in self._names(self._unlisted):
                if name >= self._start.bucket:
                    self._bucket(name)
            self.is_over = True
        except Stopped:
            self._note()
        finally:
            for finding in self._pending:
                self.tally.add(finding)
            self._pending = []
            self._buckets.stop()
        if self.is_over:
            self._note()

    def measure(self) -> int:
        """How many bytes there are to be read, found out without reading any of them.

        :raises Stopped: it is to end.
        """
        total = 0
        for name in self._names(lambda _: None):
            if name < self._start.bucket:
                continue
            start = self._start if name == self._start.bucket else Position()
            with suppress(S3Error, OSError, DamagedError), self._opened(name, start.key, Troubles()) as (_, files):
                for file in self._files(files, start):
                    self._throttle.check()
                    # Not opened, which is the dearer half of it.
                    with suppress(OSError):
                        total += os.stat(os.path.join(self._data, file.place())).st_size
        return total

    def _files(self, files: BucketFiles, start: Position) -> Iterator[File]:
        if not start.objects:
            for key, older in files:
                yield from files.of_key(key, older=older)
        for upload in files.uploads(self._buckets, start.upload):
            yield from files.of_upload(upload)

    def _names(self, report: Callable[[str], None]) -> list[str]:
        if self._selection.buckets:
            return [self._buckets.info(name).name for name in sorted(set(self._selection.buckets))]
        return [bucket.name for bucket in self._buckets.list(report)]

    def _unlisted(self, message: str) -> None:
        # Who goes on with a run has it from that one.
        if not self._start.bucket:
            self._add(Finding(Verdict.UNREADABLE, "", "", reason=message))

    # Buckets

    def _opened(self, name: str, after: str, troubles: Troubles) -> AbstractContextManager[tuple[Bucket, BucketFiles]]:
        return opened(self._data, self._buckets, name, self._selection.prefix, after, troubles)

    def _bucket(self, name: str) -> None:
        start = self._start if name == self._start.bucket else Position(name)
        self._name = name
        self._invisible.clear()
        try:
            with self._opened(name, start.key, self) as (bucket, files):
                if not start.objects:
                    for key, older in files:
                        self._key(bucket, files, key, older=older)
                        self._done(Position(name, key))
                    self._done(Position(name, objects=True))
                for upload in files.uploads(self._buckets, start.upload):
                    for file in files.of_upload(upload):
                        self._file(bucket, file)
                    self._done(Position(name, objects=True, upload=upload.info.upload_id))
        except (S3Error, OSError, DamagedError) as error:
            # Not if it was deleted meanwhile.
            if not isinstance(error, S3Error) or error.code != "NoSuchBucket":
                reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
                self._add(Finding(Verdict.UNREADABLE, name, name, reason=reason))
        # Whatever follows it.
        self._done(Position(name + "\0"))

    def _key(self, bucket: Bucket, files: BucketFiles, key: str, *, older: bool) -> None:
        try:
            for file in files.of_key(key, older=older):
                self._file(bucket, file)
        except OSError as error:
            reason = f"its older versions: {error.strerror or error}"
            self._add(Finding(Verdict.UNREADABLE, bucket.name, bucket.name, key, reason=reason))

    def _done(self, position: Position) -> None:
        """All up to a position is done."""
        for finding in self._pending:
            self.tally.add(finding)
        self._pending = []
        self._position = position
        if self._now() - self._noted >= _NOTE_S:
            self._note()
        self._throttle.check()

    def _note(self) -> None:
        self._noted = self._now()
        if self._ledger is not None:
            progress = None if self.is_over else Progress(self._position, self.tally, self.seconds)
            # On a full disk it is all the more to be known what is damaged.
            with suppress(OSError):
                self._ledger.write(self._selection, progress)

    def _add(self, finding: Finding) -> None:
        self._pending.append(finding)
        if finding.verdict is not Verdict.OK:
            self._report(finding)

    def invisible(self, path: bytes) -> None:
        # A directory may be read several times.
        if path not in self._invisible:
            self._invisible.add(path)
            self._add(Finding(Verdict.INVISIBLE, os.fsdecode(path), self._name))

    def barred(self, path: bytes, error: OSError) -> None:
        reason = error.strerror or str(error)
        self._add(Finding(Verdict.UNREADABLE, os.fsdecode(path), self._name, reason=reason))

    # Files

    def _file(self, bucket: Bucket, file: File) -> None:
        checked = self._checker.check(file.open, file.kept, file.name, part=bool(file.part))
        if checked is None:
            return
        adopted, reason = False, checked.reason
        if self._selection.adopting and not file.part and checked.verdict in _ADOPTED:
            adopted, reason = self._adopt(bucket, file, checked)
        status = checked.status
        self._add(
            Finding(
                checked.verdict,
                os.fsdecode(file.place()),
                bucket.name,
                file.key,
                file.version,
                file.upload,
                file.part,
                status.st_size if status else 0,
                status.st_mtime_ns if status else 0,
                *checked.evidence,
                locked=checked.locked,
                adopted=adopted,
                reason=reason,
            )
        )

    def _adopt(self, bucket: Bucket, file: File, checked: Checked) -> tuple[bool, str]:
        """Give a file from outside its MD5; whether that was done, and if not, why."""
        if checked.locked:
            return False, "not adopted: it is locked"
        if checked.digests is None or checked.status is None:
            # What is unverifiable may have been made by S3.
            return False, "" if checked.verdict is Verdict.UNVERIFIABLE else "not adopted: it was changed just now"
        if file.version and checked.version != file.version:
            return False, "not adopted: it was changed since it became an older version"
        try:
            for _ in range(_TRIES):
                with suppress(WouldBlock), self._buckets.opened(_pinned(bucket), claim=True) as opened:
                    arguments = (opened, file.key, file.version, checked.status, checked.digests)
                    done = changes.adopt(*arguments, self._stage, self._durability)
                    return done, "" if done else "not adopted: it was changed meanwhile"
                self._throttle.pause(_PAUSE_S)
        except (S3Error, OSError) as error:
            return False, f"not adopted: {error.strerror if isinstance(error, OSError) else error.message}"
        return False, "not adopted: the daemon was at it all the time"

    def _stage(self, bucket: Bucket) -> StagedFile:
        # It gets the mode of the file that it takes the place of.
        return StagedFile.create(bucket.staging(), self._durability, 0o600, None, bucket.calls)


def _pinned(bucket: Bucket) -> PinnedName:
    return PinnedName.of(bucket.name, bucket.id)
