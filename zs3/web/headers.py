"""What requests say of an object in headers, and how the object's answers say it again.

Pure: pairs of a `Wire` in, `Attributes` out, and back.  Whatever a client asks
for that this server would not do (encryption, event holds) is
refused here rather than passed over.

Sources: Amazon S3 API Reference, PutObject, CopyObject, GetObject; User Guide,
"Working with object metadata".
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from zs3 import checksums
from zs3.errors import S3Error
from zs3.store.values import EMPTY, Attributes, ObjectInfo
from zs3.web.dates import http_date
from zs3.web.documents import STANDARD, STORAGE_CLASS, quoted
from zs3.web.http1 import header_text
from zs3.web.tags import TAGGING, parse_header

#: A request header as text, or None if there is none.
Header = Callable[[str], str | None]

META = "x-amz-meta-"
#: Told to who may read the tags.
TAG_COUNT = "x-amz-tagging-count"
MAX_METADATA_SIZE = 2048
DEFAULT_CONTENT_TYPE = "binary/octet-stream"
_DEFAULT_CONTENT_TYPE = DEFAULT_CONTENT_TYPE.encode("ascii")
WEBSITE_REDIRECT = "x-amz-website-redirect-location"

#: Stored as sent and returned with the object.
SYSTEM_HEADERS = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    WEBSITE_REDIRECT,
)

_STORED = frozenset((*SYSTEM_HEADERS, STORAGE_CLASS))

#: What an object may be labelled with: all classes that S3 reads without a restore.  An object in one of the others
#: would have to be restored before it is read, and clients refuse to fetch it; that is not to be had here.
STORAGE_CLASSES = frozenset(
    (STANDARD, "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR")
)

#: S3 has them beside the locks that there are here.
_EVENT_HOLDS = tuple("x-amz-object-lock-event-hold" + suffix for suffix in ("", "-duration-days", "-duration-years"))
#: What follows ``...-server-side-encryption`` where a client brings the key.
_CUSTOMER_KEY = ("-customer-algorithm", "-customer-key", "-customer-key-md5")

#: query parameter -> the response header it sets
OVERRIDES = {
    "response-" + name: name
    for name in (
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
    )
}

_PLAIN_ASCII = re.compile("[\t\x20-\x7e]*", re.ASCII).fullmatch
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII).fullmatch
_UNSAFE = re.compile("[\x00-\x08\x0a-\x1f\x7f]")


# From a request ---------------------------------------------------------------------------------------------------


def parse_attributes(pairs: Sequence[tuple[bytes, bytes]]) -> Attributes:
    """The attributes of the object that a request creates.

    System headers keep their bytes (as Latin-1 text); metadata is text.

    :param pairs: the request's headers, names in lower case.
    :raises S3Error: MetadataTooLarge above 2 KiB; InvalidStorageClass; as `tags.parse_header`.
    """
    tagging: list[str] = []
    headers: dict[str, str] = {}
    metadata: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name = raw_name.decode("latin-1")
        if name.startswith(META):
            _append(metadata, header_text(raw_name)[len(META) :], header_text(raw_value))
        elif name in _STORED:
            _append(headers, name, raw_value.decode("latin-1"))
        elif name == TAGGING:
            tagging.append(header_text(raw_value))
    _check_metadata_size(metadata)
    _drop_transfer_encoding(headers)
    _check_storage_class(headers)
    _check_redirect(headers)
    return Attributes(headers, metadata, parse_header(",".join(tagging)) if tagging else EMPTY)


def _append(mapping: dict[str, str], name: str, value: str) -> None:
    """Several lines of a header are one list (RFC 9110, 5.3)."""
    mapping[name] = f"{mapping[name]},{value}" if name in mapping else value


def _check_metadata_size(metadata: Mapping[str, str]) -> None:
    size = sum(len(name.encode("utf-8")) + len(value.encode("utf-8")) for name, value in metadata.items())
    if size > MAX_METADATA_SIZE:
        raise S3Error("MetadataTooLarge", Size=str(size), MaxSizeAllowed=str(MAX_METADATA_SIZE))


def _drop_transfer_encoding(headers: dict[str, str]) -> None:
    """`aws-chunked` was how the body travelled; it is no property of the object."""
    codings = headers.pop("content-encoding", None)
    if codings is None:
        return
    kept = ",".join(part for part in codings.split(",") if part.strip().lower() not in ("", "aws-chunked"))
    if kept:
        headers["content-encoding"] = kept.strip()


def _check_storage_class(headers: dict[str, str]) -> None:
    value = headers.get(STORAGE_CLASS)
    if value is not None and value not in STORAGE_CLASSES:
        raise S3Error("InvalidStorageClass", StorageClassRequested=value)
    if value == STANDARD:
        del headers[STORAGE_CLASS]


def _check_redirect(headers: Mapping[str, str]) -> None:
    value = headers.get(WEBSITE_REDIRECT)
    if value is not None and not value.startswith(("/", "http://", "https://")):
        raise S3Error(
            "InvalidRedirectLocation",
            "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
        )


def check_bucket_owner(header: Header, owner_id: str, *, name: str = "x-amz-expected-bucket-owner") -> None:
    """Refuse a request that expects another owner of the bucket.  AccessDenied."""
    expected = header(name)
    if expected is not None and expected != owner_id:
        raise S3Error("AccessDenied")


def check_new_object(header: Header) -> None:
    """Refuse headers of a request that creates an object which ask for more than there is.

    :raises S3Error: NotImplemented for encryption, appending and event holds.
    """
    _refuse_encryption(header, "x-amz-server-side-encryption")
    if header("x-amz-write-offset-bytes") is not None:
        raise S3Error("NotImplemented", "Appending is not implemented.", Header="x-amz-write-offset-bytes")
    for name in _EVENT_HOLDS:
        if header(name) is not None:
            raise S3Error("NotImplemented", "Event holds are not implemented.", Header=name)


def has_digest(header: Header) -> bool:
    """Whether a request says what its bytes must turn out to be, beside what its signature covers."""
    return any(header(name) is not None for name in ("content-md5", "x-amz-trailer", *checksums.HEADERS))


def check_part(header: Header) -> None:
    """As `check_new_object` for what belongs to an upload under way: only encryption can be asked for."""
    _refuse_encryption(header, "x-amz-server-side-encryption")


def check_copy_source_encryption(header: Header) -> None:
    """Refuse the key of an encrypted source: there is none."""
    _refuse_key(header, "x-amz-copy-source-server-side-encryption")


def check_read(header: Header) -> None:
    """Refuse the key of an encrypted object where one is read: there is none."""
    _refuse_key(header, "x-amz-server-side-encryption")


def check_abort(header: Header) -> None:
    """Refuse what S3 has for uploads to directory buckets only.  NotImplemented."""
    name = "x-amz-if-match-initiated-time"
    if header(name) is not None:
        raise S3Error("NotImplemented", Header=name)


def _refuse_key(header: Header, prefix: str) -> None:
    if any(header(prefix + suffix) is not None for suffix in _CUSTOMER_KEY):
        raise S3Error("InvalidRequest", "The encryption parameters are not applicable to this object.")


def _refuse_encryption(header: Header, prefix: str) -> None:
    for suffix in ("", *_CUSTOMER_KEY, "-aws-kms-key-id", "-bucket-key-enabled", "-context"):
        if header(prefix + suffix) is not None:
            raise S3Error(
                "NotImplemented",
                "Server-side encryption is not implemented: objects are plain files.",
                Header=prefix + suffix,
            )


def check_new_bucket(header: Header) -> None:
    """As `check_new_object`, for a bucket."""
    if header("x-amz-bucket-namespace") not in (None, "global"):
        raise S3Error("NotImplemented", "There is one namespace of buckets.", Header="x-amz-bucket-namespace")


# Into an answer ---------------------------------------------------------------------------------------------------


def encode_metadata(value: str) -> str:
    """A metadata value for a header: as it is if it is printable ASCII, else as encoded words of RFC 2047.

    A long one becomes several words of at most 75 characters, each of whole characters (RFC 2047, sections 2 and 5).
    """
    if _PLAIN_ASCII(value):
        return value
    words, piece = [], b""
    for character in value:
        encoded = character.encode("utf-8", "replace")
        if len(piece) + len(encoded) > 45:
            words.append(piece)
            piece = b""
        piece += encoded
    words.append(piece)
    return " ".join(f"=?UTF-8?B?{base64.b64encode(word).decode('ascii')}?=" for word in words)


def representation(info: ObjectInfo) -> dict[str, bytes]:
    """The headers that belong to an object itself, for GET and HEAD, also of a range."""
    result = {
        "last-modified": http_date(info.mtime_ns).encode("ascii"),
        "etag": quoted(info.etag).encode("latin-1", "replace"),
        "accept-ranges": b"bytes",
        "content-type": _DEFAULT_CONTENT_TYPE,
    }
    for name, value in info.attributes.headers.items():
        if name not in _STORED:
            continue  # nor must it say where the response ends
        if _UNSAFE.search(value):
            # What others wrote into a record on the disk must not split the response either.
            value = _UNSAFE.sub(" ", value)
        result[name] = value.encode("latin-1", "replace")
    missing = 0
    for name, value in info.attributes.metadata.items():
        if _TOKEN(name):
            result[META + name] = encode_metadata(value).encode("ascii")
        else:
            missing += 1
    if missing:
        result["x-amz-missing-meta"] = b"%d" % missing
    if info.attributes.tags:
        result[TAG_COUNT] = b"%d" % len(info.attributes.tags)
    return result


def not_modified(info: ObjectInfo) -> dict[str, bytes]:
    """The headers of a 304: those a cache needs (RFC 9110, 15.4.5), and never a checksum, at which botocore trips."""
    wanted = ("last-modified", "etag", "cache-control", "expires")
    every = representation(info)
    return {name: every[name] for name in wanted if name in every}


def parse_overrides(parameters: Iterable[tuple[str, str]]) -> dict[str, bytes]:
    """The response headers that `response-*` query parameters ask for, by their names.

    :raises S3Error: InvalidArgument for a value that no header line can hold.
    """
    overrides = {}
    for parameter, value in parameters:
        name = OVERRIDES.get(parameter)
        if name is None:
            continue
        problem = ""
        if _UNSAFE.search(value):
            problem = "Header value cannot contain control characters."
        try:
            overrides[name] = value.encode("latin-1")
        except UnicodeEncodeError:
            problem = "Header value cannot be represented using ISO-8859-1."
        if problem:
            raise S3Error("InvalidArgument", problem, ArgumentName=parameter, ArgumentValue=value)
    return overrides
