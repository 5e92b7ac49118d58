"""A browser's form on its way in: first its fields, which are few, then its file, which may be of any size.

How multipart/form-data is taken apart is the affair of the library `multipart`;
here are S3's limits and what its fields have in common.  Nothing here knows who
sent a form, nor what becomes of it.

Sources: Amazon S3 API Reference, "Creating an HTML form"; RFC 7578.
"""

from __future__ import annotations

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from zs3.auth.postform import missing_field
from zs3.errors import S3Error
from zs3.web.body import Body

#: All that comes before the content of the file, in bytes; and the most that may follow it, which means nothing.
MAX_FIELDS_SIZE = 20 * 1024

_FORM = "multipart/form-data"
_FILE, _FILENAME = "file", "${filename}"
#: What the text of a field may be in; some clients send Latin-1 and say so.
_CHARSETS = {
    **dict.fromkeys(("utf-8", "utf8", "us-ascii", "ascii"), "utf-8"),
    **dict.fromkeys(("iso-8859-1", "latin-1", "latin1"), "latin-1"),
}


def is_form(content_type: str | None) -> bool:
    """Whether a request with this Content-Type brings a form."""
    return content_type is not None and content_type.partition(";")[0].strip().lower() == _FORM


class Form:
    """One form.  Read its fields, then its file.

    :param content_type: the request's.
    :ivar fields: those before the file, by their names in lower case, with the file's name in the place of
        ``${filename}``.
    :raises S3Error: MalformedPOSTRequest without a boundary.
    """

    def __init__(self, content_type: str, body: Body) -> None:
        self.fields: dict[str, str] = {}
        self._body = body
        self._fed = 0
        # Of the part that is being read:
        self._field: str | None = None
        self._charset = ""
        self._text: list[bytes] = []
        # Of the file, which ends before the body does:
        self._filename: str | None = None
        self._in_file = self._ended = self._file_over = False
        self._after = 0
        self._content: list[bytes] = []
        try:
            self._parser = PushMultipartParser(parse_options_header(content_type)[1].get("boundary", ""))
        except MultipartError:
            raise S3Error("MalformedPOSTRequest") from None

    @property
    def key(self) -> str:
        """Of the object that the form makes; at least one character."""
        return self.fields["key"]

    async def read_fields(self) -> None:
        """Read up to where the file begins.

        :raises S3Error: MalformedPOSTRequest; MaxPostPreDataLengthExceededError; InvalidArgument for a form without
            file or key, and for a field that comes twice or is not in UTF-8; what `Body.read` fails with.
        """
        while self._filename is None:
            data = await self._body.read()
            if not data:
                self._close()
                raise S3Error(
                    "InvalidArgument", "POST requires exactly one file upload per request.",
                    ArgumentName=_FILE, ArgumentValue="0",
                )  # fmt: skip
            # The limit is held against the bytes, however they were cut on their way.
            room = MAX_FIELDS_SIZE - self._fed
            before, rest = data[:room], data[room:]
            if before:
                self._fed += len(before)
                self._feed(before)
            if rest:
                if self._filename is None:
                    raise S3Error("MaxPostPreDataLengthExceededError")
                self._feed(rest)
        self._put_filename(self._filename)
        if "key" not in self.fields:
            raise missing_field("key")
        if not self.key:
            raise S3Error(
                "InvalidArgument", "User key must have a length greater than 0.", ArgumentName="key", ArgumentValue=""
            )

    async def read(self) -> bytes:
        """The next piece of the file: at least one byte, or ``b""`` once the whole form has come to its end.

        :raises S3Error: MalformedPOSTRequest, also for a form without end; what `Body.read` fails with.
        """
        while not self._content:
            if self._ended:
                return b""
            if data := await self._body.read():
                self._feed(data)
            else:
                self._close()
                self._ended = True
        content, self._content = self._content, []
        return content[0] if len(content) == 1 else b"".join(content)

    def _feed(self, data: bytes) -> None:
        if self._file_over:
            self._after += len(data)
            if self._after > MAX_FIELDS_SIZE:
                raise S3Error("MalformedPOSTRequest")
        try:
            for event in self._parser.parse(data):
                if isinstance(event, MultipartSegment):
                    self._begin(event)
                elif event is None:
                    self._end()
                elif self._in_file:
                    self._content.append(event)
                elif self._field is not None:
                    self._text.append(event)
        except MultipartError:
            raise S3Error("MalformedPOSTRequest") from None

    def _close(self) -> None:
        try:
            self._parser.close()
        except MultipartError:
            raise S3Error("MalformedPOSTRequest") from None

    def _begin(self, part: MultipartSegment) -> None:
        # The parser (multipart 2.0.1) refuses a bare line feed only if the line was cut behind it on its way.
        if any("\n" in text or "\r" in text for header in part.headerlist for text in header):
            raise S3Error("MalformedPOSTRequest")
        if self._filename is not None:
            return  # AWS passes over what follows the file
        name = (part.name or "").lower()
        if not name:
            raise S3Error("MalformedPOSTRequest")
        if name == _FILE:
            self._in_file = True
            # A browser may send a path, with the separators of its system.
            self._filename = (part.filename or "").replace("\\", "/").rpartition("/")[2]
        else:
            self._field, self._charset = name, part.charset or "utf-8"

    def _end(self) -> None:
        self._file_over = self._file_over or self._in_file
        self._in_file = False
        name, self._field = self._field, None
        if name is None:
            return
        if name in self.fields:
            raise S3Error("InvalidArgument", f"The field {name} may be given once only.", ArgumentName=name)
        raw, self._text = b"".join(self._text), []
        charset = _CHARSETS.get(self._charset.lower())
        try:
            if charset is None:
                raise ValueError
            self.fields[name] = raw.decode(charset)
        except ValueError:
            raise S3Error("InvalidArgument", f"The field {name} is not in UTF-8.", ArgumentName=name) from None

    def _put_filename(self, filename: str) -> None:
        # A long name may stand in many places.
        if sum(value.count(_FILENAME) for value in self.fields.values()) * len(filename) > MAX_FIELDS_SIZE:
            raise S3Error("MaxPostPreDataLengthExceededError")
        for name, value in self.fields.items():
            self.fields[name] = value.replace(_FILENAME, filename)
