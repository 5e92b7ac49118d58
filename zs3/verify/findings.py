"""What verifying finds: the verdict on each file, and how many there were of each kind.  Pure."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

#: Findings that are kept.
_MOST = 10_000


class Verdict(enum.Enum):
    """What a file is found to be; the values are those of the JSON output, and stay."""

    OK = "ok"
    #: the record is valid, and the content is not what it says
    DAMAGED = "damaged"
    #: the file has no record that is for it, and should
    LOST = "metadata-lost"
    #: another program changed it since it was stored
    EDITED = "edited"
    #: another program made it
    FOREIGN = "foreign"
    #: what is recorded of it says nothing of its content
    UNVERIFIABLE = "unverifiable"
    #: it, or what is recorded of it, could not be read
    UNREADABLE = "unreadable"
    #: it changed each time while it was read
    CHANGING = "changing"
    #: the name of a file or directory stands for no key
    INVISIBLE = "invisible"


@dataclass(frozen=True, slots=True)
class Finding:
    """A file that is not simply as recorded.

    :ivar path: of the file, from the data directory.
    :ivar bucket: its bucket.
    :ivar key: its key, or "" for what is no object.
    :ivar version: the id of an older version, or "".
    :ivar upload: the id of the upload that it is a part of, or "".
    :ivar part: the number of that part, or 0.
    :ivar size: in bytes.
    :ivar mtime_ns: its modification time.
    :ivar differs: what is recorded and not so: ``ETag``, algorithms of checksums.
    :ivar agrees: what is recorded and is so, though.
    :ivar parts: the numbers of the damaged parts of an object, if they are known.
    :ivar locked: whether Object Lock protects it.
    :ivar adopted: whether it was given its MD5 as ETag.
    :ivar reason: more of why, for people.
    """

    verdict: Verdict
    path: str
    bucket: str
    key: str = ""
    version: str = ""
    upload: str = ""
    part: int = 0
    size: int = 0
    mtime_ns: int = 0
    differs: tuple[str, ...] = ()
    agrees: tuple[str, ...] = ()
    parts: tuple[int, ...] = ()
    locked: bool = False
    adopted: bool = False
    reason: str = ""

    @property
    def is_wrong(self) -> bool:
        """Whether something that was stored is not there as it was."""
        return self.verdict in (Verdict.DAMAGED, Verdict.LOST) or (self.verdict is Verdict.EDITED and self.locked)

    @property
    def is_trouble(self) -> bool:
        """Whether somebody should know of it even if all the rest is long over."""
        return self.is_wrong or self.verdict is Verdict.UNREADABLE

    def as_json(self) -> dict[str, Any]:
        """What stands for it in JSON; the names are those of the output, and stay."""
        return {
            "verdict": self.verdict.value,
            "path": self.path,
            "bucket": self.bucket,
            "key": self.key or None,
            "version": self.version or None,
            "upload": self.upload or None,
            "part": self.part or None,
            "size": self.size,
            "mtime_ns": self.mtime_ns,
            "differs": list(self.differs),
            "agrees": list(self.agrees),
            "parts": list(self.parts),
            "locked": self.locked,
            "adopted": self.adopted,
            "reason": self.reason or None,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Finding:
        """The opposite.

        :raises KeyError, TypeError, ValueError: it is none.
        """
        known = {each.name: values[each.name] for each in fields(cls) if values[each.name] is not None}
        for name in ("differs", "agrees", "parts"):
            known[name] = tuple(known[name])
        return cls(**{**known, "verdict": Verdict(values["verdict"])})


@dataclass
class Tally:
    """How many there were.

    :ivar files: that were looked at.
    :ivar size: bytes that were read of them.
    :ivar verdicts: how many of each kind, of files and of invisible names.
    :ivar wrong: how many of them are wrong, see `Finding.is_wrong`.
    :ivar adopted: files that were given their MD5.
    :ivar kept: the findings that are trouble; the first of very many.
    """

    files: int = 0
    size: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    wrong: int = 0
    adopted: int = 0
    kept: list[Finding] = field(default_factory=list)

    def add(self, finding: Finding) -> None:
        """Count a file, or what else there is to tell."""
        self.verdicts[finding.verdict] += 1
        self.wrong += finding.is_wrong
        self.adopted += finding.adopted
        if finding.key:
            self.files += 1
            self.size += finding.size
        if finding.is_trouble and len(self.kept) < _MOST:
            self.kept.append(finding)

    def as_json(self) -> dict[str, Any]:
        """For the output, and to be kept."""
        return {
            "files": self.files,
            "bytes": self.size,
            "verdicts": {each.value: self.verdicts[each] for each in Verdict},
            "wrong": self.wrong,
            "adopted": self.adopted,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], kept: list[Finding]) -> Tally:
        """The opposite.

        :raises KeyError, TypeError, ValueError: it is none.
        """
        return cls(
            files=int(values["files"]),
            size=int(values["bytes"]),
            verdicts=Counter({each: int(values["verdicts"][each.value]) for each in Verdict}),
            wrong=int(values["wrong"]),
            adopted=int(values["adopted"]),
            kept=kept,
        )
