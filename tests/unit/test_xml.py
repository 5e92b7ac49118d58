"""The XML reader refuses what is dangerous or strange, and the builder writes what can be read back."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from zs3.errors import S3Error
from zs3.web import xml
from zs3.web.names import replace_what_xml_cannot_carry

NAMESPACE = xml.NAMESPACE


def parse(document, name="A", max_elements=100):
    return xml.parse(document, name, max_elements=max_elements)


@pytest.mark.parametrize(
    "document",
    [
        b"<A><B>x</B></A>",
        b'<?xml version="1.0" encoding="UTF-8"?>\n<A>\n <B>x</B>\n</A>\n',
        f'<A xmlns="{NAMESPACE}"><B>x</B></A>'.encode(),
        f'<s3:A xmlns:s3="{NAMESPACE}"><s3:B>x</s3:B></s3:A>'.encode(),
        b"\xef\xbb\xbf<A><B>x</B></A>",
        b"<A><!-- no --><B><![CDATA[x]]></B></A>",
        b"<A><B>&#120;</B></A>",
    ],
)
def test_a_document_may_be_spelled_in_many_ways(document):
    root = parse(document)
    assert root.value("B") == "x"
    assert root.value("C") is None


def test_white_space_in_a_value_is_kept():
    assert parse(b"<A><B> \n</B></A>").value("B") == " \n"


BILLION_LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE A [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><A>&c;</A>"""


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b" ",
        b"A",
        b"<A>",
        b"<A></B>",
        b"<A/><A/>",
        b"<A>&nbsp;</A>",
        b"<A>\x00</A>",
        b"<A>&#0;</A>",
        b"<A>\xff</A>",
        b"<A>text<B/></A>",
        b"<B/>",
        b'<A xmlns="urn:other"/>',
        f'<A><B xmlns="urn:other"/><C xmlns="{NAMESPACE}"/></A>'.encode(),
        b"<a:A/>",
        b'<A xmlNs:a="urn:other"><a:B/></A>',
        b"<!DOCTYPE A><A/>",
        b'<!DOCTYPE A SYSTEM "file:///etc/passwd"><A/>',
        b'<!DOCTYPE A [<!ENTITY x SYSTEM "file:///etc/passwd">]><A>&x;</A>',
        b'<!DOCTYPE A [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x">%x;]><A/>',
        BILLION_LAUGHS,
        "<A/>".encode("utf-16"),
        '<?xml version="1.0" encoding="UTF-16"?><A/>'.encode("utf-16-le"),
        b"<A>" * 100_000,
        b"<A>" + b"<B/>" * 100 + b"</A>",
        b"<A>" + b"x" * 100_000 + b"</A>",
    ],
    ids=lambda document: repr(document[:40]),
)
def test_what_no_request_needs_is_malformed(document):
    with pytest.raises(S3Error, match="MalformedXML"):
        parse(document)


def test_another_encoding_is_not_believed():
    # +ADw-B+AD4- is <B> in UTF-7.
    root = parse(b'<?xml version="1.0" encoding="UTF-7"?><A>+ADw-B+AD4-</A>')
    assert (root.text, root.children) == ("+ADw-B+AD4-", [])


def test_a_refused_document_takes_no_memory():
    document = b"<A>" + b"<B/>" * 1_000_000
    tracemalloc.start()
    with pytest.raises(S3Error, match="MalformedXML"):
        parse(document)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_only_names_the_children_there_may_be():
    root = parse(b"<A><B/><C/></A>")
    assert root.only("B", "C") is root
    with pytest.raises(S3Error, match="MalformedXML"):
        root.only("B")


@pytest.mark.parametrize("document", [b"<A><B>1</B><B>2</B></A>", b"<A><B><C/></B></A>"])
def test_a_value_is_one_text(document):
    with pytest.raises(S3Error, match="MalformedXML"):
        parse(document).value("B")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_what_is_written_is_read_back(text):
    root = xml.root("A")
    root.add("B", text)
    expected = replace_what_xml_cannot_carry(text)
    assert parse(root.document()).value("B") == expected
    assert (etree.fromstring(root.document())[0].text or "") == expected


def test_values_are_written_in_s3s_spelling():
    root = xml.root("A")
    root.add("Yes", True)
    root.add("No", False)
    root.add("Number", 5)
    root.add("Empty")
    root.add_if("Absent", "")
    assert root.document() == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b'<A xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        b"<Yes>true</Yes><No>false</No><Number>5</Number><Empty/></A>"
    )
