"""Which buckets have a name in the metrics: so many of them, and the same ones in all workers.

Each label costs Prometheus memory for a long time, and whoever may make buckets,
or only ask for some, must not be able to make as many as he likes.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress

#: The most buckets that are told apart.
MOST = 100
#: What stands for all others, and for requests that are about none; no bucket can have such a name.
OTHER = "other"
NONE = "-"


class BucketNames:
    """Gives the labels of buckets: the names of the first `most` that were used, `OTHER` for the rest.

    A bucket that is called like `OTHER` is one of the rest.

    :param path: of a file in which workers share them; None if there are no others.
    """

    def __init__(self, most: int = MOST, path: str | None = None) -> None:
        self._most, self._path = most, path
        self._labels = {"": NONE}

    def label(self, bucket: str, *, used: bool) -> str:
        """The label of a bucket.

        :param bucket: "" for none.
        :param used: whether a request for it has succeeded, so that it is certain that there is one.
        """
        found = self._labels.get(bucket)
        if found is None:
            # One more is that of no bucket.
            if not used or len(self._labels) > self._most:
                return OTHER
            # Where there is no room for one more, or was none for all of the one before, it has none.
            with suppress(OSError, ValueError):
                self._add(bucket)
            found = self._labels.get(bucket, OTHER)
        return found

    def _add(self, bucket: str) -> None:
        if self._path is None:
            self._labels[bucket] = bucket
            return
        with open(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            names = [json.loads(line) for line in file]
            if bucket not in names and len(names) < self._most:
                names.append(bucket)
                file.write(json.dumps(bucket) + "\n")
        self._labels.update(zip(names, names, strict=True))
