"""What may be the name of a bucket or the key of an object.

Pure: rules of S3 that a request is held against before the store is asked.
How a key becomes a path is the store's affair.
"""

from __future__ import annotations

import re

from zs3.errors import S3Error

MAX_KEY_SIZE = 1024

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]").fullmatch
_IPV4 = re.compile(r"[0-9]+(\.[0-9]+){3}").fullmatch
#: The two periods of today's rules, and what could be no host name, which the rules of before forbade too.
_ILL_JOINED = re.compile(r"\.\.|\.-|-\.").search
_RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")

#: What the production Char of XML 1.0 leaves out: a key with one of these could not be listed.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def fits_xml(text: str) -> bool:
    """Whether an XML 1.0 document can carry `text`."""
    return _NOT_XML.search(text) is None


def replace_what_xml_cannot_carry(text: str) -> str:
    """`text` with U+FFFD in place of every character that XML 1.0 does not have."""
    if text.isprintable():
        return text  # as nearly every text is, and cheap to know
    return _NOT_XML.sub("\ufffd", text)


def is_new_bucket_name(name: str) -> bool:
    """Whether S3 would let a general purpose bucket be created under this name.

    Source: Amazon S3 User Guide, "General purpose bucket naming rules".  Only creation is held against it: a
    directory with another name that the store offers as a bucket is served.
    """
    return (
        _BUCKET(name) is not None
        and _ILL_JOINED(name) is None
        and _IPV4(name) is None
        and not name.startswith(_RESERVED_PREFIXES)
        and not name.endswith(_RESERVED_SUFFIXES)
    )


def check_key(key: str) -> None:
    """Refuse what cannot be the key of an object.

    :raises S3Error: KeyTooLongError above 1024 bytes of UTF-8; InvalidArgument for a character that no listing
        could show.
    """
    size = len(key.encode("utf-8"))
    if size > MAX_KEY_SIZE:
        raise S3Error("KeyTooLongError", Size=str(size), MaxSizeAllowed=str(MAX_KEY_SIZE))
    if not key:
        raise S3Error("InvalidArgument", "Object keys are at least one character long.", ArgumentName="key")
    if not fits_xml(key):
        raise S3Error(
            "InvalidArgument", "Object keys cannot hold characters that XML 1.0 does not have.", ArgumentName="key"
        )


def decode_path(path: bytes) -> str:
    """A path, already without its percent escapes, as text.

    :raises S3Error: InvalidURI if it is not UTF-8.
    """
    try:
        return path.decode("utf-8")
    except UnicodeDecodeError:
        raise S3Error("InvalidURI") from None


def check_escapes(raw: bytes) -> None:
    """Refuse a percent sign that begins no escape: what it means would be a guess.

    :param raw: a path as it came over the wire.
    :raises S3Error: InvalidURI.
    """
    if _BAD_ESCAPE.search(raw):
        raise S3Error("InvalidURI")
