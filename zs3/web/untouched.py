"""The sub-resources of a bucket or object that was never configured, as AWS describes them.

Clients ask for these before they start.  The answers are true here: nothing of
it can be configured yet, so everything is as it is on a bucket that nobody
touched.  Configuring is NotImplemented; it is never accepted and ignored.

Source: Amazon S3 API Reference, GetBucketCors and so on.  Encryption is an
exception: AWS would say AES256, and no file here is encrypted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from zs3.errors import S3Error
from zs3.web import xml
from zs3.web.call import Call, Handler
from zs3.web.headers import check_bucket_owner
from zs3.web.responses import send_empty, send_xml


@dataclass(frozen=True, slots=True)
class Untouched:
    """A sub-resource.

    :ivar read: the name of the operation that reads it.
    :ivar read_action: the action of IAM that allows it.
    :ivar answer: the document, or the code of the error that says there is none.
    :ivar remove: the name of the operation that removes it, where that is possible on AWS and leaves all as it is.
    :ivar remove_action: the action of IAM that allows that: often the one that configures it.
    """

    read: str
    read_action: str
    answer: Callable[[Call], bytes] | str
    remove: str = ""
    remove_action: str = ""


def _empty(name: str) -> Callable[[Call], bytes]:
    return lambda _: xml.root(name).document()


def _request_payment(_: Call) -> bytes:
    root = xml.root("RequestPaymentConfiguration")
    root.add("Payer", "BucketOwner")
    return root.document()


BUCKET = {
    "accelerate": Untouched(
        "GetBucketAccelerateConfiguration", "GetAccelerateConfiguration", _empty("AccelerateConfiguration")
    ),
    "encryption": Untouched(
        "GetBucketEncryption",
        "GetEncryptionConfiguration",
        "ServerSideEncryptionConfigurationNotFoundError",
        "DeleteBucketEncryption",
        "PutEncryptionConfiguration",
    ),
    "logging": Untouched("GetBucketLogging", "GetBucketLogging", _empty("BucketLoggingStatus")),
    "replication": Untouched(
        "GetBucketReplication",
        "GetReplicationConfiguration",
        "ReplicationConfigurationNotFoundError",
        "DeleteBucketReplication",
        "PutReplicationConfiguration",
    ),
    "requestPayment": Untouched("GetBucketRequestPayment", "GetBucketRequestPayment", _request_payment),
}

OBJECT = {
    "torrent": Untouched("GetObjectTorrent", "GetObjectTorrent", "NoSuchKey"),
}

_MESSAGES = {
    "NoSuchKey": "There is no torrent of this object: objects are not distributed by BitTorrent.",
}


async def _check_it_exists(call: Call) -> None:
    check_bucket_owner(call.header, call.owner.id)
    if call.key:
        await call.store.get_object_info(call.bucket, call.key, call.version)
    else:
        await call.store.get_bucket(call.bucket)


def reader(what: Untouched) -> Handler:
    """The handler of the operation `what.read`."""

    async def read(call: Call) -> None:
        await _check_it_exists(call)
        if isinstance(what.answer, str):
            raise S3Error(what.answer, _MESSAGES.get(what.answer), BucketName=call.bucket)
        send_xml(call.request, what.answer(call))

    return read


async def remove(call: Call) -> None:
    """Remove what is not there, as every such operation may on AWS."""
    await _check_it_exists(call)
    send_empty(call.request, 204)


async def restore(call: Call) -> None:
    """RestoreObject, of an object that is in no archive: none is, in any storage class there is here."""
    await _check_it_exists(call)
    raise S3Error("InvalidObjectState", "Restore is not allowed for the object's current storage class")
