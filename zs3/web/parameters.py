"""Query parameters that several operations have in common.  Pure."""

from __future__ import annotations

import base64
import binascii
import re

from zs3.errors import S3Error

_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII).fullmatch
_MAX_INT = 2**31 - 1


def bounded_number(text: str | None, name: str, *, default: int, high: int, low: int = 0) -> int:
    """The number of entries that a request wants, no more than `high`; `default` if it says nothing.

    :raises S3Error: InvalidArgument for what is no number of `low` to 2147483647.
    """
    if not text:
        return default
    number = int(text) if _NUMBER(text) else -1
    if not low <= number <= _MAX_INT:
        raise S3Error(
            "InvalidArgument",
            f"Argument {name} must be an integer between {low} and {_MAX_INT}",
            ArgumentName=name,
            ArgumentValue=text,
        )
    return min(number, high)


def encoding_type(text: str | None) -> str:
    """``url`` or "".  InvalidArgument for anything else."""
    if text not in (None, "", "url"):
        raise S3Error(
            "InvalidArgument",
            "Invalid Encoding Method specified in Request",
            ArgumentName="encoding-type",
            ArgumentValue=text,
        )
    return text or ""


def encode_token(last: str) -> str:
    """The continuation token of a page that ended with the name `last`."""
    return base64.urlsafe_b64encode(b"1" + last.encode("utf-8")).decode("ascii")


def decode_token(token: str) -> str:
    """Where the listing goes on.  InvalidArgument for what `encode_token` did not make."""
    try:
        raw = base64.b64decode(token, b"-_", validate=True)
        if raw[:1] == b"1":
            return raw[1:].decode("utf-8")
    except (binascii.Error, ValueError):
        pass
    raise S3Error("InvalidArgument", "The continuation token provided is incorrect", ArgumentName="continuation-token")
