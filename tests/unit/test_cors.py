"""The rules of CORS: their document, and what they allow."""

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from zs3.errors import S3Error
from zs3.web.bodies import CONFIGURATION_SIZE
from zs3.web.cors import (
    MAX_AGE,
    MAX_REQUESTED,
    METHODS,
    Question,
    Rule,
    allow,
    ask,
    document,
    parse,
    rules_of,
    set_rules,
)

ORIGIN = "https://app.example"


def xml_of(*rules):
    return (
        f"<CORSConfiguration>{''.join(f'<CORSRule>{rule}</CORSRule>' for rule in rules)}</CORSConfiguration>".encode()
    )


LEAST = "<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"


def told(rules, *, origin=ORIGIN, method="GET", headers=()):
    return allow(rules, Question(origin, method, tuple(headers)))


# The document


def test_a_rule_has_all_that_the_document_says():
    body = b"""<?xml version="1.0"?><CORSConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><CORSRule>
        <ID>first &amp; last</ID><AllowedOrigin>https://*.example</AllowedOrigin><AllowedOrigin/>
        <AllowedMethod>PUT</AllowedMethod><AllowedMethod>GET</AllowedMethod><AllowedHeader>x-AMZ-*</AllowedHeader>
        <MaxAgeSeconds> 3000
        </MaxAgeSeconds><ExposeHeader>ETag</ExposeHeader><ExposeHeader>x-amz-id-2</ExposeHeader>
        </CORSRule></CORSConfiguration>"""
    assert parse(body) == [
        Rule(["https://*.example", ""], ["PUT", "GET"], ["x-AMZ-*"], ["ETag", "x-amz-id-2"], "first & last", 3000)
    ]


def test_the_elements_come_in_the_order_of_the_api_reference():
    body = document([Rule(["*"], ["GET", "PUT"], ["*"], ["ETag"], "id", 0), Rule(["a"], ["HEAD"])])
    assert body.partition(b"<CORSConfiguration")[2].partition(b">")[2] == (
        b"<CORSRule><AllowedHeader>*</AllowedHeader><AllowedMethod>GET</AllowedMethod>"
        b"<AllowedMethod>PUT</AllowedMethod><AllowedOrigin>*</AllowedOrigin><ExposeHeader>ETag</ExposeHeader>"
        b"<ID>id</ID><MaxAgeSeconds>0</MaxAgeSeconds></CORSRule>"
        b"<CORSRule><AllowedMethod>HEAD</AllowedMethod><AllowedOrigin>a</AllowedOrigin></CORSRule></CORSConfiguration>"
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<CORSConfiguration/>",
        b"<CORSRule>" + LEAST.encode() + b"</CORSRule>",
        b"<CORSConfiguration><Other/></CORSConfiguration>",
        xml_of(""),
        xml_of("<AllowedOrigin>*</AllowedOrigin>"),
        xml_of("<AllowedMethod>GET</AllowedMethod>"),
        xml_of(LEAST + "<Other/>"),
        xml_of(LEAST + "<AllowedHeader><b/></AllowedHeader>"),
        xml_of(LEAST + "<ID>1</ID><ID>2</ID>"),
        xml_of(LEAST + "<MaxAgeSeconds>1</MaxAgeSeconds><MaxAgeSeconds>1</MaxAgeSeconds>"),
        xml_of(LEAST, LEAST.replace("GET</", "")),
        *(
            xml_of(f"{LEAST}<MaxAgeSeconds>{age}</MaxAgeSeconds>")
            for age in ("", "-1", "+1", "1.5", "1_0", "٣", "x", MAX_AGE + 1, "9" * 5000)
        ),
    ],
)
def test_what_the_schema_does_not_have_is_malformed(body):
    with pytest.raises(S3Error, match="MalformedXML"):
        parse(body)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (LEAST + "<AllowedMethod>get</AllowedMethod>", "Unsupported method is get"),
        (LEAST + "<AllowedMethod>OPTIONS</AllowedMethod>", "Unsupported method is OPTIONS"),
        (LEAST + "<AllowedMethod>*</AllowedMethod>", "Unsupported method is *"),
        (LEAST + "<AllowedMethod/>", "Unsupported method is "),
        (LEAST + "<AllowedOrigin>*a*</AllowedOrigin>", 'AllowedOrigin "*a*" can not have more than one wildcard.'),
        (LEAST + "<AllowedOrigin>**</AllowedOrigin>", 'AllowedOrigin "**" can not have more than one wildcard.'),
        (LEAST + "<AllowedHeader>**</AllowedHeader>", 'AllowedHeader "**" can not have more than one wildcard.'),
        (LEAST + "<ExposeHeader>x-*</ExposeHeader>", "We currently do not support wildcard for ExposeHeader."),
        (LEAST + "<ExposeHeader/>", 'ExposeHeader "" contains invalid character.'),
        (LEAST + f"<ID>{'i' * 256}</ID>", "The ID of a CORS rule has at most 255 characters."),
    ],
)
def test_what_s3_does_not_have_is_an_invalid_request(rule, message):
    with pytest.raises(S3Error, match="InvalidRequest") as caught:
        parse(xml_of(LEAST, rule))
    assert caught.value.message.endswith(message)


def test_there_are_100_rules_and_no_more():
    assert len(parse(xml_of(*[LEAST] * 100))) == 100
    with pytest.raises(S3Error, match="InvalidRequest"):
        parse(xml_of(*[LEAST] * 101))


@pytest.mark.parametrize("rules", [1, 2])
def test_there_are_200_patterns_of_headers_in_all_rules_and_no_more(rules):
    """Each that is asked for is held against all of them, for clients that nobody knows."""
    patterns = "".join(f"<AllowedHeader>x-{number}-*</AllowedHeader>" for number in range(200 // rules))
    assert len(parse(xml_of(*[LEAST + patterns] * rules))) == rules
    with pytest.raises(S3Error, match="InvalidRequest"):
        parse(xml_of(*[LEAST + patterns] * rules, LEAST + "<AllowedHeader>*</AllowedHeader>"))


def test_a_document_may_be_full_of_the_shortest_elements():
    room = CONFIGURATION_SIZE - len(xml_of(LEAST))
    body = xml_of(LEAST + "<AllowedOrigin/>" * (room // len("<AllowedOrigin/>")))
    assert len(parse(body)[0].origins) > 4000


@pytest.mark.parametrize("name", ["a\rb", "a\nb", "a\r\nb: c", "a\tb", "a b", "a:b", "a,b", "é", "a\x7f", "a&#13;b"])
def test_security_33_an_exposed_header_cannot_split_the_answer(name):
    with pytest.raises(S3Error, match="InvalidRequest"):
        parse(xml_of(f"{LEAST}<ExposeHeader>{name}</ExposeHeader>"))


# What is allowed


@pytest.mark.parametrize(
    ("pattern", "origin", "fits"),
    [
        ("*", "anything", True),
        ("https://app.example", ORIGIN, True),
        ("https://app.example", ORIGIN + ":8080", False),
        ("https://app.example", "http://app.example", False),
        ("https://APP.example", ORIGIN, False),
        ("https://*.example", ORIGIN, True),
        ("https://*.example", "https://a.b.example", True),
        ("https://*.example", "https://.example", True),
        ("https://*.example", "https://example", False),
        ("https://*.example", "https://app.example.evil", False),
        ("*suffix", "suffix", True),
        ("*suffix", "suffix.get", False),
        ("start*end", "startend", True),
        ("start*end", "start1end", True),
        ("start*end", "0startend", False),
        ("ab*ba", "aba", False),
        ("null", "null", True),
        ("", "x", False),
    ],
)
def test_an_origin_fits_with_at_most_one_wildcard(pattern, origin, fits):
    assert (told([Rule([pattern], ["GET"])], origin=origin) is not None) == fits


def test_a_page_that_is_named_may_send_credentials():
    """As S3 answers it: the origin itself, all methods of the rule, and the headers that were asked for."""
    rule = Rule(["https://*.example"], ["GET", "PUT"], ["*"], ["ETag", "x-amz-id-2"], "id", 3000)
    assert told([rule], headers=["content-type", "X-Amz-Date"]) == {
        "access-control-allow-origin": b"https://app.example",
        "access-control-allow-methods": b"GET, PUT",
        "access-control-allow-headers": b"content-type, X-Amz-Date",
        "access-control-expose-headers": b"ETag, x-amz-id-2",
        "access-control-max-age": b"3000",
        "access-control-allow-credentials": b"true",
        "vary": b"Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
    }


def test_security_35_a_rule_for_everybody_names_nobody_and_takes_no_credentials():
    assert told([Rule(["*"], ["GET"])]) == {
        "access-control-allow-origin": b"*",
        "access-control-allow-methods": b"GET",
        "vary": b"Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
    }


def test_methods_are_allowed_one_by_one():
    rules = [Rule(["*"], ["GET"]), Rule(["*"], ["PUT"])]
    assert told(rules, method="PUT")["access-control-allow-methods"] == b"PUT"
    for method in ("HEAD", "DELETE", "get", "", "GET, PUT"):
        assert told(rules, method=method) is None


@pytest.mark.parametrize(
    ("allowed", "requested", "fits"),
    [
        ([], [], True),
        ([], ["a"], False),
        (["*"], ["a", "b"], True),
        (["A"], ["a"], True),
        (["a"], ["A"], True),
        (["x-amz-*"], ["X-AMZ-Date", "x-amz-"], True),
        (["x-amz-*"], ["x-amz-date", "range"], False),
        (["x-amz-*", "range"], ["x-amz-date", "range"], True),
    ],
)
def test_every_header_that_is_asked_for_must_be_allowed(allowed, requested, fits):
    assert (told([Rule(["*"], ["GET"], allowed)], headers=requested) is not None) == fits


def test_the_first_rule_that_fits_as_a_whole_counts():
    rules = [
        Rule([ORIGIN], ["GET"], max_age=1),
        Rule([ORIGIN], ["PUT"], max_age=2),
        Rule([ORIGIN], ["GET"], ["range"], max_age=3),
        Rule([ORIGIN], ["GET"], ["*"], max_age=4),
    ]
    assert told(rules)["access-control-max-age"] == b"1"
    assert told(rules, headers=["Range"])["access-control-max-age"] == b"3"
    assert told(rules, headers=["a"])["access-control-max-age"] == b"4"


def test_what_a_request_prepares_counts_for_more_than_what_it_is():
    assert ask("o", "OPTIONS", "PUT", " a,\tB ,,a") == Question("o", "PUT", ("a", "B"))
    assert ask("o", "GET", None, None) == Question("o", "GET")
    assert ask("o", "GET", "PUT", "") == Question("o", "PUT")
    assert ask("o", "GET", "", "").method == ""


@pytest.mark.parametrize(
    ("origin", "headers"),
    [
        ("", "a"),
        ("https://ä.example", ""),
        ("a b", ""),
        ("a\x7f", ""),
        ("o", "a b"),
        ("o", "a:b"),
        ("o", "é"),
        ("o", ",".join(f"h{number}" for number in range(MAX_REQUESTED + 1))),
    ],
)
def test_what_no_browser_sends_is_allowed_by_no_rule(origin, headers):
    assert ask(origin, "GET", None, headers) is None
    assert allow([Rule(["*"], ["GET"], ["*"])], None) is None


def test_a_name_that_is_repeated_counts_once():
    assert len(ask("o", "GET", None, ",".join(["a", "b"] * MAX_REQUESTED)).headers) == 2


# Laws

letters = st.text("ab*", max_size=4)
patterns = letters.filter(lambda text: text.count("*") < 2)
tokens = st.text("abAB-", min_size=1, max_size=4)
rules = st.builds(
    Rule,
    st.lists(patterns, min_size=1, max_size=3),
    st.lists(st.sampled_from(METHODS), min_size=1, max_size=2),
    st.lists(patterns, max_size=3),
    st.lists(tokens, max_size=2),
    st.text("i<&>\r\t ", max_size=3).filter(lambda text: not text or text.strip()),
    st.none() | st.integers(0, MAX_AGE),
)
questions = st.builds(
    Question, st.text("ab", min_size=1, max_size=5), st.sampled_from(METHODS), st.lists(tokens, max_size=2).map(tuple)
)


@given(st.lists(rules, min_size=1, max_size=4))
def test_what_is_written_is_read_again(given_rules):
    assert parse(document(given_rules)) == given_rules
    configuration = {"other": 1}
    set_rules(configuration, given_rules)
    assert list(rules_of(json.loads(json.dumps(configuration)))) == given_rules
    set_rules(configuration, [])
    assert configuration == {"other": 1}


@given(st.lists(rules, max_size=3), st.lists(rules, max_size=3), questions)
def test_a_rule_more_takes_no_answer_away(before, after, question):
    answer = allow(before, question)
    if answer is not None:
        assert allow([*before, *after], question) == answer
        assert allow([*after, *before], question) is not None
    else:
        assert allow([*before, *after], question) == allow(after, question)


@given(st.lists(rules, max_size=4), questions)
def test_only_who_is_named_is_trusted(given_rules, question):
    answer = allow([*given_rules, Rule(["a*", "*"], METHODS, ["*"])], question)
    origin = answer["access-control-allow-origin"]
    assert origin in (b"*", question.origin.encode())
    assert ("access-control-allow-credentials" in answer) == (origin != b"*")


@given(patterns, st.text("ab", max_size=6))
def test_a_wildcard_stands_for_any_characters(pattern, text):
    head, star, tail = pattern.partition("*")
    middles = {text[begin:end] for begin in range(len(text) + 1) for end in range(begin, len(text) + 1)}
    expected = any(head + middle + tail == text for middle in middles) if star else pattern == text
    assume(text)
    assert (told([Rule([pattern], ["GET"])], origin=text) is not None) == expected


@given(st.text(), st.text(), st.none() | st.text(), st.none() | st.text())
def test_no_answer_holds_what_no_header_may(origin, method, requested_method, requested_headers):
    everything = [Rule(["*a", "*"], METHODS, ["*"], ["ETag"], max_age=1)]
    for value in (allow(everything, ask(origin, method, requested_method, requested_headers)) or {}).values():
        assert all(32 <= byte < 127 for byte in value)
