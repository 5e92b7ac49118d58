"""The documents that tell of events, as Amazon S3 makes them.  Pure.

Source: Amazon S3 User Guide, "Event message structure".
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote_plus

from zs3.auth import accounts
from zs3.events.rules import ACL_PUT, EXPIRED, EXPIRED_BY_MARKER, RETENTION_PUT, TAGS_DELETED, TAGS_PUT
from zs3.store.values import NULL_VERSION, VERSIONING, Configuration

#: By which S3 tells apart what records of several kinds of events hold.
_VERSION = "2.1"
_LATER_VERSION = "2.3"
_LATER = frozenset((TAGS_PUT, TAGS_DELETED, ACL_PUT, RETENTION_PUT, EXPIRED, EXPIRED_BY_MARKER))


@dataclass(frozen=True, slots=True)
class Cause:
    """What an event came of.

    :ivar principal: the name of the user, or what else did it.
    :ivar address: of the client; "" where there is none.
    :ivar request_id: of the request; "" where there is none.
    :ivar host_id: which daemon it was.
    """

    principal: str
    address: str = ""
    request_id: str = ""
    host_id: str = ""


#: Who signed nothing.
ANONYMOUS = "Anonymous"
#: What follows the rules of a lifecycle, as AWS calls it.
LIFECYCLE = Cause("s3.amazonaws.com")
#: Any other program that changed a file.
OUTSIDE = Cause("zs3:outside")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an object.

    :ivar name: without ``s3:``, see `zs3.events.rules`.
    :ivar bucket: its name, as a `PinnedName` where it was looked at.
    :ivar size: in bytes; None for an object that is no more.
    :ivar etag: without quotes; "" likewise.
    :ivar version: its id, if it is to be told of, see `with_kept_version`.
    :ivar mtime_ns: of the file; 0 where there is none.
    """

    name: str
    bucket: str
    key: str
    cause: Cause
    size: int | None = None
    etag: str = ""
    version: str = ""
    mtime_ns: int = 0


def with_kept_version(event: Event, configuration: Configuration) -> Event:
    """The event with the version that it has, in a bucket that keeps any: as AWS tells none elsewhere.

    :param configuration: of its bucket.
    """
    if VERSIONING in configuration and event.version != NULL_VERSION:
        return event
    return replace(event, version="")


def iso_time(ns: int) -> str:
    """A time as records have it, to the millisecond."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ns // 10**9)) + f".{ns // 10**6 % 1000:03}Z"


def sequencer(ns: int) -> str:
    """What orders the events of a key: of two, the greater is the later one."""
    return f"{ns:016X}"


def record(event: Event, *, region: str, owner: str, rule_id: str, at_ns: int) -> dict[str, Any]:
    """The record of an event.

    :param owner: the account that owns the bucket.
    :param rule_id: of the rule of the notification configuration that it is sent for; "" for none.
    :param at_ns: when it happened; later than that of any earlier event of the key.
    """
    about: dict[str, Any] = {"key": quote_plus(event.key, safe="/")}
    if event.size is not None:
        about |= {"size": event.size, "eTag": event.etag}
    if event.version:
        about["versionId"] = event.version
    about["sequencer"] = sequencer(at_ns)
    cause = event.cause
    return {
        "eventVersion": _LATER_VERSION if event.name in _LATER else _VERSION,
        "eventSource": "aws:s3",
        "awsRegion": region,
        "eventTime": iso_time(at_ns),
        "eventName": event.name,
        "userIdentity": {"principalId": cause.principal},
        "requestParameters": {"sourceIPAddress": cause.address},
        "responseElements": {"x-amz-request-id": cause.request_id, "x-amz-id-2": cause.host_id},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": rule_id,
            "bucket": {
                "name": event.bucket,
                "ownerIdentity": {"principalId": accounts.canonical_id(owner)},
                "arn": f"arn:aws:s3:::{event.bucket}",
            },
            "object": about,
        },
    }


def envelope(event: Event, what: dict[str, Any]) -> dict[str, Any]:
    """A record with what streams must know of its event."""
    identifier = getattr(event.bucket, "identifier", "")
    about = {"bucket": event.bucket, "id": identifier, "key": event.key, "name": event.name, "version": event.version}
    return {**about, "size": event.size, "mtime": event.mtime_ns, "record": what}


def encode(document: object) -> bytes:
    """A document in JSON, in one line of ASCII."""
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def message(records: Iterable[bytes]) -> bytes:
    """The message that holds encoded records."""
    return b'{"Records":[' + b",".join(records) + b"]}"


def trial_message(bucket: str, request_id: str, host_id: str, at_ns: int) -> bytes:
    """The message that is sent when a bucket is configured to send any."""
    return encode(
        {
            "Service": "Amazon S3",
            "Event": "s3:TestEvent",
            "Time": iso_time(at_ns),
            "Bucket": bucket,
            "RequestId": request_id,
            "HostId": host_id,
        }
    )
