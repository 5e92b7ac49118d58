"""The query of a request, decoded."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from zs3.errors import S3Error


class Query:
    """The query of a request: decoded names and values in their order; a name without ``=`` has the value "".

    :ivar pairs: all of them.
    """

    __slots__ = ("pairs",)

    def __init__(self, raw: bytes = b"") -> None:
        """:raises S3Error: InvalidURI if `raw` decodes to what is not UTF-8."""
        try:
            self.pairs = tuple(
                (_decode(name), _decode(value))
                for name, _, value in (item.partition(b"=") for item in raw.split(b"&") if item)
            )
        except UnicodeDecodeError:
            raise S3Error("InvalidURI") from None

    def get(self, name: str) -> str | None:
        """The first value of `name`, or None."""
        for key, value in self.pairs:
            if key == name:
                return value
        return None

    def __contains__(self, name: str) -> bool:
        return any(key == name for key, _ in self.pairs)


def _decode(raw: bytes) -> str:
    return unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8")
