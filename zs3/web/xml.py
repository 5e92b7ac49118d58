"""XML in and out, by lxml: a strict, bounded reader, and an element builder.

Knows nothing of any S3 document; those are in `zs3.web.documents` (answers)
and `zs3.web.bodies` (requests).

The reader builds no tree of libxml2's: it is told events, and stops at the first
one that no request needs.  There is no DTD, no entity beyond XML's own five and
no encoding but UTF-8, so that nothing can be expanded, fetched or hidden.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from zs3.errors import S3Error
from zs3.web.names import replace_what_xml_cannot_carry

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
CONTROL_NAMESPACE = "http://awss3control.amazonaws.com/doc/2018-08-20/"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'

MAX_DEPTH = 8
MAX_TEXT = 16 * 1024

#: A text that stands in a document as it is, as nearly all do.
_PLAIN = re.compile("[ -%'-;=?-~]*+").fullmatch


# Out ------------------------------------------------------------------------------------------------------------------


class Element:
    """An element under construction: a thin skin over lxml's, because S3's documents nest names and texts only.

    Texts may be anything a client sent; what XML 1.0 cannot carry becomes U+FFFD.
    """

    __slots__ = ("_element",)

    def __init__(self, element: etree._Element) -> None:
        self._element = element

    def add(self, name: str, text: str | int | bool | None = None) -> Element:
        """Append an element; a bool becomes ``true`` or ``false``."""
        child = etree.SubElement(self._element, name)
        if text is not None:
            child.text = _text(text)
        return Element(child)

    def add_if(self, name: str, text: str | int | None) -> None:
        """Append an element unless there is nothing to put in it."""
        if text:
            self.add(name, text)

    def set(self, name: str, value: str) -> None:
        """An attribute; `name` is of the XMLSchema-instance namespace, the only one S3 uses."""
        self._element.set(f"{{{XSI}}}{name}", value)

    def document(self) -> bytes:
        """The document with this root, in UTF-8 with its declaration."""
        return DECLARATION + self.body()

    def body(self) -> bytes:
        """As `document`, without the declaration."""
        return etree.tostring(self._element, encoding="utf-8", xml_declaration=False)

    def document_with(self, children: Iterable[bytes]) -> bytes:
        """As `document`, with more behind the children that this has: elements as bytes, of which there may be many."""
        end = b"</%b>" % self._element.tag.encode()
        return b"".join((self.document().removesuffix(end), *children, end))


def root(name: str, text: str = "", *, namespace: str = NAMESPACE) -> Element:
    """The root of a new document; `namespace` may be "" for none."""
    # With the namespace as a plain attribute every descendant inherits it in the text, and needs no prefix here.
    element = etree.Element(name, {"xmlns": namespace} if namespace else {})
    if text:
        element.text = _text(text)
    return Element(element)


def escaped(text: str) -> str:
    """A text as it stands in a document, for who writes elements by hand."""
    if _PLAIN(text):
        return text
    text = replace_what_xml_cannot_carry(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A bare one would be read as a line feed.
    return text.replace("\r", "&#13;")


def _text(value: str | int | bool) -> str:
    if isinstance(value, str):
        return replace_what_xml_cannot_carry(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


# In -------------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Node:
    """An element as read: its name without namespace, its text, its children in order."""

    name: str
    text: str = ""
    children: list[Node] = field(default_factory=list)

    def each(self, name: str) -> Iterator[Node]:
        return (child for child in self.children if child.name == name)

    def only(self, *names: str) -> Node:
        """This node, if it has no other children than these.  MalformedXML."""
        if any(child.name not in names for child in self.children):
            raise S3Error("MalformedXML")
        return self

    def value(self, name: str) -> str | None:
        """The text of the only child of that name; None if there is none.  MalformedXML if there are more."""
        found = list(self.each(name))
        if not found:
            return None
        if len(found) > 1 or found[0].children:
            raise S3Error("MalformedXML")
        return found[0].text


class _Refused(Exception):
    """Well-formed XML that no S3 request needs."""


class _Builder:
    """The parser's target: nodes of our own, counted as they come."""

    def __init__(self, limit: int, namespace: str) -> None:
        self._limit = limit
        self._namespaced = "{" + namespace + "}"
        self._open: list[Node] = []
        self.root: Node | None = None

    def start(self, tag: str, _attributes: object) -> None:
        self._limit -= 1
        if self._limit < 0 or len(self._open) >= MAX_DEPTH:
            raise _Refused
        if tag.startswith(self._namespaced):
            tag = tag[len(self._namespaced) :]
        elif tag.startswith("{"):
            raise _Refused
        node = Node(tag)
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node
        self._open.append(node)

    def end(self, _tag: str) -> None:
        node = self._open.pop()
        if not node.children:
            return
        if node.text.strip():
            raise _Refused
        node.text = ""

    def data(self, text: str) -> None:
        node = self._open[-1]
        node.text += text
        if len(node.text) > MAX_TEXT:
            raise _Refused

    def doctype(self, *_: object) -> None:
        raise _Refused

    def close(self) -> None:
        """The parser wants to be able to say so."""


def parse(body: bytes, name: str, *, max_elements: int, namespace: str = NAMESPACE) -> Node:
    """The root of a request's document, which must be called `name`.

    The namespace is this or none.  Attributes other than namespaces are passed over.

    :raises S3Error: MalformedXML for everything else.
    """
    # encoding: what the document declares, or a byte order mark of another encoding, does not count.
    target: Any = _Builder(max_elements, namespace)
    parser = etree.XMLParser(
        target=target,
        encoding="utf-8",
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        no_network=True,
        huge_tree=False,
    )
    try:
        parser.feed(body)
        parser.close()
    except (etree.XMLSyntaxError, _Refused):
        raise S3Error("MalformedXML") from None
    document: Node | None = target.root
    # A prefix that stands for nothing is an error of which the parser only makes a note.
    if any(entry.level >= etree.ErrorLevels.ERROR for entry in parser.feed_error_log):
        raise S3Error("MalformedXML")
    if document is None or document.name != name:
        raise S3Error("MalformedXML")
    return document
