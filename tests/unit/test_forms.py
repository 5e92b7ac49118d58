"""How a form is read: its fields, its file, its limits, wherever it was cut on its way."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from tests.forms import BOUNDARY, CONTENT_TYPE, end, form, part
from zs3.errors import S3Error
from zs3.web.body import Body
from zs3.web.forms import MAX_FIELDS_SIZE, Form, is_form

DELIMITER = b"\r\n--" + BOUNDARY.encode()


class Source:
    """A connection that never minds."""

    def start_body(self):
        pass

    pause_body = resume_body = start_body


def result_of(coroutine):
    """What a coroutine that never has to wait returns or raises."""
    outcome = []
    Deferred.fromCoroutine(coroutine).addBoth(outcome.append)
    (result,) = outcome
    if isinstance(result, Failure):
        result.raiseException()
    return result


class Pieces:
    """A body that gives its pieces one by one."""

    def __init__(self, pieces):
        self.pieces = [piece for piece in pieces if piece]

    async def read(self):
        return self.pieces.pop(0) if self.pieces else b""


def read_form(body, *cuts, content_type=CONTENT_TYPE):
    """The form and its file."""
    edges = [0, *sorted(cuts), len(body)]
    form = Form(content_type, Pieces(body[a:b] for a, b in pairwise(edges)))

    async def read():
        await form.read_fields()
        content = []
        while piece := await form.read():
            content.append(piece)
        return b"".join(content)

    return form, result_of(read())


def code_of(body, *cuts, **options):
    with pytest.raises(S3Error) as caught:
        read_form(body, *cuts, **options)
    return caught.value.code


@pytest.mark.parametrize(
    ("content_type", "yes"),
    [
        (CONTENT_TYPE, True),
        ("Multipart/Form-Data;boundary=x", True),
        ("multipart/form-data", True),
        ("multipart/form-data ; boundary=x", True),
        ("multipart/mixed; boundary=x", False),
        ("application/x-www-form-urlencoded", False),
        ("text/plain; multipart/form-data", False),
        ("", False),
        (None, False),
    ],
)
def test_a_form_is_known_by_its_content_type(content_type, yes):
    assert is_form(content_type) is yes


def test_fields_and_file():
    read, content = read_form(form({"key": "a/b", "ACL": "private", "x-amz-meta-ü": "größe\r\n"}, b"\0content"))
    assert read.fields == {"key": "a/b", "acl": "private", "x-amz-meta-ü": "größe\r\n"}
    assert (read.key, content) == ("a/b", b"\0content")


def test_fields_may_look_like_files_and_files_like_fields():
    """What is the file is told by its name alone."""
    body = part("key", "k", filename="key") + part("FILE", "content", more="Content-Type: text/plain\r\n") + end()
    read, content = read_form(body)
    assert (read.fields, content) == ({"key": "k"}, b"content")


def test_what_follows_the_file_is_passed_over():
    rest = part("key", "other") + part("file", "second") + part("policy", "x" * 10_000) + part("a", "1") * 2
    body = part("key", "k") + part("file", "first", filename="f") + rest + end() + b"\r\nepilogue"
    read, content = read_form(body)
    assert (read.fields, content) == ({"key": "k"}, b"first")


def test_what_follows_the_file_has_its_bounds_too():
    whole = part("key", "k") + part("file", "first", filename="f") + part("a", "x" * 100_000) + end()
    with pytest.raises(S3Error, match="MalformedPOSTRequest"):
        read_form(whole, *range(1000, len(whole), 1000))


def test_an_empty_file_is_a_file():
    assert read_form(form({"key": "k"}, b""))[1] == b""


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("cat.jpg", "cat.jpg"),
        ("/home/ann/cat.jpg", "cat.jpg"),
        (r"C:\\Users\\ann\\cat.jpg", "cat.jpg"),
        (r"C:\Users\ann\cat.jpg", "cat.jpg"),
        (r"..\..\cat.jpg", "cat.jpg"),
        ("../../etc/passwd", "passwd"),
        ("größe 1.jpg", "größe 1.jpg"),
        ("%22quoted%22.jpg", '"quoted".jpg'),
        ("dir/", ""),
        ("..", ".."),
        ("", ""),
        (None, ""),
        ("${filename}", "${filename}"),
    ],
)
def test_the_name_of_the_file_goes_into_every_field(filename, name):
    read, _ = read_form(form({"key": "a/${filename}", "x-amz-meta-n": "${filename}-${filename}"}, filename=filename))
    assert read.fields == {"key": f"a/{name}", "x-amz-meta-n": f"{name}-{name}"}


def test_a_text_in_latin_1_is_understood_where_it_says_so():
    more = "Content-Type: text/plain; charset=ISO-8859-1\r\n"
    body = part("key", "größe".encode("latin-1"), more=more) + part("file", b"") + end()
    assert read_form(body)[0].key == "größe"


@pytest.mark.parametrize("charset", ["utf-16", "punycode", "zlib", "nobody-knows"])
def test_other_charsets_are_not(charset):
    more = f"Content-Type: text/plain; charset={charset}\r\n"
    assert code_of(part("key", "k", more=more) + part("file", b"") + end()) == "InvalidArgument"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (part("key", b"\xff") + part("file", b"") + end(), "InvalidArgument"),
        (part("key", "a") + part("KEY", "a") + part("file", b"") + end(), "InvalidArgument"),
        (part("acl", "private") + part("file", b"") + end(), "InvalidArgument"),
        (part("file", b"") + part("key", "k") + end(), "InvalidArgument"),
        (part("key", "") + part("file", b"") + end(), "InvalidArgument"),
        (part("key", "${filename}") + part("file", b"", filename="a/") + end(), "InvalidArgument"),
        (part("key", "k") + end(), "InvalidArgument"),
        (end(), "InvalidArgument"),
        (part("", "k") + part("file", b"") + end(), "MalformedPOSTRequest"),
        (b"", "MalformedPOSTRequest"),
        (b"key=k&file=content", "MalformedPOSTRequest"),
        (form({"key": "k"}, boundary="other"), "MalformedPOSTRequest"),
        (part("key", "k").replace(b"form-data", b"attachment") + end(), "MalformedPOSTRequest"),
        (part("key", "k").replace(b"Content-Disposition", b"Content-Type") + end(), "MalformedPOSTRequest"),
        (part("key", "k").replace(b"\r\n", b"\n") + end(), "MalformedPOSTRequest"),
        (part("key", "k", more="a" * 10_000 + "\r\n") + end(), "MalformedPOSTRequest"),
        (part("key", "k", more="a: b\r\n" * 20) + end(), "MalformedPOSTRequest"),
        (form({"key": "k"}).replace(b"key", b"\xff"), "MalformedPOSTRequest"),
        (form({"key": "k"}).replace(b'name="key"', b'name="key"; a="\n"'), "MalformedPOSTRequest"),
        (form({"key": "k"}).replace(b'name="key"', b'name="key"; a="\r"'), "MalformedPOSTRequest"),
    ],
)
@pytest.mark.parametrize("cut", [False, True])
def test_what_is_no_form_is_refused(body, code, cut):
    assert code_of(body, *range(len(body)) if cut else ()) == code


def test_a_form_that_does_not_end_is_refused_wherever_it_stops():
    body = form({"key": "k"}, b"content")
    last = body.rindex(b"--") + 2
    for stop in range(last):
        assert code_of(body[:stop]) == "MalformedPOSTRequest"
    for stop in range(last, len(body) + 1):
        assert read_form(body[:stop])[1] == b"content"


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "multipart/form-data; boundary=", 'multipart/form-data; boundary=""']
)
def test_without_a_boundary_there_is_no_form(content_type):
    assert code_of(form({"key": "k"}), content_type=content_type) == "MalformedPOSTRequest"


@pytest.mark.parametrize(
    "content_type", ['multipart/form-data; boundary="a b"', "multipart/form-data; x=y; boundary=ab"]
)
def test_a_boundary_may_be_quoted_and_come_last(content_type):
    boundary = "a b" if "a b" in content_type else "ab"
    assert read_form(form({"key": "k"}, boundary=boundary), content_type=content_type)[1] == b"content"


@pytest.mark.parametrize("cuts", [(), range(0, 40_000, 1000), (MAX_FIELDS_SIZE,), (MAX_FIELDS_SIZE - 1,)])
def test_what_precedes_the_file_is_limited_to_the_byte(cuts):
    bare = part("key", "k") + part("x-ignore-a", "") + part("file", "").removesuffix(b"\r\n")

    def body(size):
        filled = part("key", "k") + part("x-ignore-a", b"a" * (size - len(bare)))
        return filled + part("file", b"c" * 100_000) + end()

    assert read_form(body(MAX_FIELDS_SIZE), *cuts)[1] == b"c" * 100_000
    assert code_of(body(MAX_FIELDS_SIZE + 1), *cuts) == "MaxPostPreDataLengthExceededError"


@pytest.mark.parametrize("body", [b"p" * 100_000, b"\r\n" * 50_000, part("key", "k") * 1000, part("a", b"b" * 50_000)])
def test_a_body_without_a_file_is_not_read_to_its_end(body):
    source = Pieces([body[at : at + 1000] for at in range(0, len(body), 1000)])
    with pytest.raises(S3Error) as caught:
        result_of(Form(CONTENT_TYPE, source).read_fields())
    assert caught.value.code in ("MaxPostPreDataLengthExceededError", "InvalidArgument")
    assert len(source.pieces) * 1000 >= len(body) - MAX_FIELDS_SIZE - 1000


def test_a_long_name_in_many_places_is_limited_too():
    fields = {"key": "${filename}", "x-ignore-a": "${filename}" * 1000}
    assert code_of(form(fields, filename="f" * 4000)) == "MaxPostPreDataLengthExceededError"


def test_nothing_of_the_file_is_read_before_it_is_asked_for():
    body = Body(Source())
    reading = Form(CONTENT_TYPE, body)
    whole = form({"key": "k"}, b"c" * 300_000)
    body.feed(whole[:1000])
    assert result_of(reading.read_fields()) is None
    body.feed(whole[1000:])
    body.end()
    assert len(result_of(reading.read())) < 1000


def test_what_fails_on_its_way_fails_here():
    body = Body(Source())
    body.feed(form({"key": "k"})[:-10])
    reading = Form(CONTENT_TYPE, body)
    assert result_of(reading.read_fields()) is None
    assert result_of(reading.read()) == b"content"
    body.fail(Failure(S3Error("IncompleteBody")))
    with pytest.raises(S3Error, match="IncompleteBody"):
        result_of(reading.read())


# Laws

#: Pieces that a boundary is made of, so that many contents nearly hold one.
NEARLY = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"-", b"--", b"x", DELIMITER[2:], DELIMITER[4:], DELIMITER[:-1]]),
    max_size=12,
).map(b"".join)
CONTENTS = (NEARLY | st.binary(max_size=200)).filter(lambda content: DELIMITER not in b"\r\n" + content)


@st.composite
def cut_forms(draw):
    content = draw(CONTENTS)
    body = form({"key": "k", "x-amz-meta-a": "b"}, content)
    cuts = draw(st.lists(st.integers(0, len(body)), max_size=20))
    return content, body, cuts


@given(cut_forms())
@example((b"c", form({"key": "k"}, b"c"), list(range(1000))))
def test_a_form_is_the_same_wherever_it_is_cut(cut):
    content, body, cuts = cut
    read, got = read_form(body, *(each for each in cuts if each <= len(body)))
    assert (read.key, got) == ("k", content)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_any_bytes_are_a_form_or_refused(body, cuts):
    with pytest.raises(S3Error):
        read_form(body, *(each for each in cuts if each <= len(body)))
