"""The lifecycle configuration as a document, both ways."""

import pytest
from hypothesis import given
from lxml import etree

from tests.unit.test_lifecycle_rules import RULES
from zs3.errors import S3Error
from zs3.lifecycle.evaluation import Due
from zs3.lifecycle.rules import Filter, Lifecycle, Rule
from zs3.web.lifecyclexml import (
    MAX_RULES,
    abort_headers,
    document,
    expiration_header,
    parse,
    parse_minimum_size,
)

S = 1_000_000_000
DAYS = "<Expiration><Days>1</Days></Expiration>"
LARGER = "<ObjectSizeGreaterThan>5</ObjectSizeGreaterThan>"
TAG = "<Tag><Key>a</Key><Value>b</Value></Tag>"


def xml_of(*rules):
    return (
        f"<LifecycleConfiguration>{''.join(f'<Rule>{each}</Rule>' for each in rules)}</LifecycleConfiguration>".encode()
    )


def rule_of(actions=DAYS, *, about="<Prefix>logs/</Prefix>", status="Enabled", name="<ID>r</ID>"):
    return f"{name}{about}<Status>{status}</Status>{actions}"


def parsed(actions=DAYS, **more):
    (rule,) = parse(xml_of(rule_of(actions, **more)))
    return rule


def code_of(body):
    with pytest.raises(S3Error) as caught:
        parse(body)
    return caught.value.code


def filtered(text):
    return parsed(about=f"<Filter>{text}</Filter>").filter


# What is said


def test_a_rule_has_all_that_the_document_says():
    body = b"""<?xml version="1.0"?><LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule>
        <ID>first &amp; last</ID><Filter><And><Prefix>logs/</Prefix><Tag><Key>kind</Key><Value>log</Value></Tag>
        <Tag><Key>a</Key><Value/></Tag><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan>
        <ObjectSizeLessThan> 7 </ObjectSizeLessThan></And></Filter><Status>Disabled</Status>
        <Expiration><Days>30</Days></Expiration><NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays>
        <NewerNoncurrentVersions>3</NewerNoncurrentVersions></NoncurrentVersionExpiration></Rule><Rule>
        <Filter/><Status>Enabled</Status><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>
        </Expiration><AbortIncompleteMultipartUpload><DaysAfterInitiation>4</DaysAfterInitiation>
        </AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>"""
    about = Filter("logs/", (("a", ""), ("kind", "log")), 5, 7)
    assert parse(body, make_id=lambda: "made") == (
        Rule("first & last", False, about, days=30, noncurrent_days=2, newer_versions=3),
        Rule("made", expired_markers=True, abort_days=4),
    )


def test_the_first_form_of_a_prefix_stays_what_it_is():
    rule = parsed()
    assert (rule.old_form, rule.filter) == (True, Filter("logs/"))
    assert b"<Prefix>logs/</Prefix><Status>" in document(Lifecycle((rule,)))


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("2017-09-27", 1_506_470_400),
        ("2017-09-27T00:00:00Z", 1_506_470_400),
        ("2017-09-27T00:00:00.000Z", 1_506_470_400),
    ],
)
def test_a_date_is_a_midnight(text, second):
    rule = parsed(f"<Expiration><Date>{text}</Date></Expiration>")
    assert rule.date_s == second
    assert b"<Date>2017-09-27T00:00:00.000Z</Date>" in document(Lifecycle((rule,)))


def test_rules_without_an_id_get_one_of_their_own():
    first, second = parse(xml_of(*[rule_of(name="")] * 2))
    assert first.id
    assert first.id != second.id
    assert parse(xml_of(rule_of(name="<ID/>")))[0].id


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Filter()),
        ("<Prefix/>", Filter("")),
        ("<Tag><Key>a</Key><Value>b</Value></Tag>", Filter(tags=(("a", "b"),))),
        ("<ObjectSizeGreaterThan>0</ObjectSizeGreaterThan>", Filter(larger_than=0)),
        ("<ObjectSizeLessThan>1</ObjectSizeLessThan>", Filter(smaller_than=1)),
        # S3 refuses these two; here they mean what all of it says.
        (f"<Prefix>a</Prefix>{TAG}", Filter("a", (("a", "b"),))),
        (
            f"<Prefix>a/</Prefix><ObjectSizeLessThan>9</ObjectSizeLessThan><And><Prefix>a</Prefix>{TAG}</And>",
            Filter("a/", (("a", "b"),), None, 9),
        ),
    ],
)
def test_a_filter_means_all_that_it_says(text, expected):
    assert filtered(text) == expected


# What is refused


def expire(text):
    return f"<Expiration>{text}</Expiration>"


def noncurrent(text):
    return f"<NoncurrentVersionExpiration>{text}</NoncurrentVersionExpiration>"


def newer(number):
    days = "<NoncurrentDays>1</NoncurrentDays>"
    return noncurrent(f"{days}<NewerNoncurrentVersions>{number}</NewerNoncurrentVersions>")


def move(text, storage_class="GLACIER"):
    return f"<Transition>{text}<StorageClass>{storage_class}</StorageClass></Transition>"


def move_noncurrent(text):
    return move(text).replace("Transition>", "NoncurrentVersionTransition>")


def abort(text):
    return f"<AbortIncompleteMultipartUpload>{text}</AbortIncompleteMultipartUpload>"


@pytest.mark.parametrize(
    ("actions", "code"),
    [
        ("", "InvalidRequest"),
        (expire(""), "MalformedXML"),
        (expire("<Days>1</Days><Date>2017-09-27</Date>"), "MalformedXML"),
        (expire("<Days>1</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>"), "MalformedXML"),
        (expire("<ExpiredObjectDeleteMarker>maybe</ExpiredObjectDeleteMarker>"), "MalformedXML"),
        (expire("<Days>0</Days>"), "InvalidArgument"),
        (expire("<Days>-1</Days>"), "InvalidArgument"),
        (expire("<Days>2147483648</Days>"), "InvalidArgument"),
        (expire("<Days>1.5</Days>"), "MalformedXML"),
        (expire("<Days/>"), "MalformedXML"),
        (expire("<Date>1970-08-22T19:08:21Z</Date>"), "InvalidArgument"),
        (expire("<Date>2017-09-27T00:00:00.001Z</Date>"), "InvalidArgument"),
        (expire("<Date>yesterday</Date>"), "MalformedXML"),
        (DAYS + DAYS, "MalformedXML"),
        (noncurrent(""), "MalformedXML"),
        (noncurrent("<NoncurrentDays>0</NoncurrentDays>"), "InvalidArgument"),
        (noncurrent("<NewerNoncurrentVersions>1</NewerNoncurrentVersions>"), "MalformedXML"),
        (newer(0), "InvalidArgument"),
        (newer(101), "InvalidArgument"),
        (abort(""), "MalformedXML"),
        (abort("<DaysAfterInitiation>0</DaysAfterInitiation>"), "InvalidArgument"),
        (move("<Days>0</Days>"), "NotImplemented"),
        (move("<Date>2017-09-27</Date>"), "NotImplemented"),
        (move("<Days>-1</Days>"), "InvalidArgument"),
        (move("<Date>1970-08-22T19:08:21Z</Date>"), "InvalidArgument"),
        (move("<Days>1</Days>", "ICE"), "MalformedXML"),
        (move(""), "MalformedXML"),
        (move_noncurrent("<NoncurrentDays>1</NoncurrentDays>"), "NotImplemented"),
        (move_noncurrent("<NoncurrentDays>-1</NoncurrentDays>"), "InvalidArgument"),
        (move_noncurrent(""), "MalformedXML"),
        ("<Other/>" + DAYS, "MalformedXML"),
    ],
)
def test_an_action_that_cannot_be_meant_is_refused(actions, code):
    assert code_of(xml_of(rule_of(actions))) == code


@pytest.mark.parametrize(
    ("about", "code"),
    [
        ("", "MalformedXML"),
        ("<Prefix>a</Prefix><Filter/>", "InvalidRequest"),
        ("<Filter><And/></Filter>", "MalformedXML"),
        ("<Filter><Prefix>a</Prefix><And><Prefix>b</Prefix></And></Filter>", "MalformedXML"),
        ("<Filter><Tag><Key>a</Key></Tag></Filter>", "MalformedXML"),
        ("<Filter><Tag><Key/><Value>b</Value></Tag></Filter>", "InvalidTag"),
        (f"<Filter><And>{'<Tag><Key>a</Key><Value>b</Value></Tag>' * 2}</And></Filter>", "InvalidRequest"),
        ("<Filter><ObjectSizeGreaterThan>-1</ObjectSizeGreaterThan></Filter>", "InvalidRequest"),
        ("<Filter><ObjectSizeLessThan>0</ObjectSizeLessThan></Filter>", "InvalidRequest"),
        (f"<Filter><And>{LARGER}<ObjectSizeLessThan>5</ObjectSizeLessThan></And></Filter>", "InvalidRequest"),
        ("<Filter><Suffix>a</Suffix></Filter>", "MalformedXML"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_refused(about, code):
    assert code_of(xml_of(rule_of(about=about))) == code


@pytest.mark.parametrize("condition", [TAG, "<ObjectSizeLessThan>1</ObjectSizeLessThan>"])
@pytest.mark.parametrize(
    "action",
    [
        expire("<ExpiredObjectDeleteMarker>false</ExpiredObjectDeleteMarker>"),
        abort("<DaysAfterInitiation>1</DaysAfterInitiation>"),
    ],
)
def test_what_has_neither_tags_nor_size_is_not_chosen_by_them(condition, action):
    assert code_of(xml_of(rule_of(action, about=f"<Filter>{condition}</Filter>"))) == "InvalidRequest"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MalformedXML"),
        (xml_of(), "MalformedXML"),
        (xml_of(*[rule_of(name="")] * (MAX_RULES + 1)), "InvalidRequest"),
        (xml_of(rule_of(), rule_of()), "InvalidArgument"),
        (xml_of(rule_of(name=f"<ID>{'a' * 256}</ID>")), "InvalidArgument"),
        (xml_of(rule_of(), rule_of(name="", about="<Filter/>")), "InvalidRequest"),
        *((xml_of(rule_of(status=status)), "MalformedXML") for status in ("", "enabled", "disabled", "invalid")),
        (b'<!DOCTYPE a [<!ENTITY b "c">]>' + xml_of(rule_of()), "MalformedXML"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(body, code):
    assert code_of(body) == code


def test_as_many_rules_as_there_may_be_fit():
    assert len(parse(xml_of(*[rule_of(name="")] * MAX_RULES))) == MAX_RULES


@pytest.mark.parametrize(
    ("said", "kept"),
    [(None, ""), ("all_storage_classes_128K", ""), ("varies_by_storage_class", "varies_by_storage_class")],
)
def test_the_minimum_size_is_one_of_two(said, kept):
    assert parse_minimum_size(said) == kept
    with pytest.raises(S3Error) as caught:
        parse_minimum_size("small")
    assert caught.value.code == "InvalidRequest"


# What is answered


def test_a_document_has_its_elements_in_the_order_of_the_api_reference():
    rule = Rule("r", True, Filter("p", (("a", "b"),), 1, 2), False, 3, None, None, 4, 5, 6)
    root = etree.fromstring(document(Lifecycle((rule,))))
    assert [etree.QName(each).localname for each in root[0]] == [
        *("Expiration", "ID", "Filter", "Status", "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload")
    ]


@given(RULES)
def test_what_is_answered_can_be_put_again(rules):
    sayable = []
    for number, rule in enumerate(rules):
        about = rule.filter
        if about.larger_than is not None and about.smaller_than is not None and about.larger_than >= about.smaller_than:
            continue
        one_form = Rule(str(number), rule.enabled, about, False, rule.days, noncurrent_days=rule.noncurrent_days)
        if one_form.days or one_form.noncurrent_days:
            sayable.append(one_form)
    if sayable:
        assert parse(document(Lifecycle(tuple(sayable)))) == tuple(sayable)


def test_headers_tell_when_and_by_which_rule():
    due = Due(1_768_521_600 * S, 'a "rule"')
    assert expiration_header(due) == 'expiry-date="Fri, 16 Jan 2026 00:00:00 GMT", rule-id="a%20%22rule%22"'
    assert abort_headers(due) == {
        "x-amz-abort-date": "Fri, 16 Jan 2026 00:00:00 GMT",
        "x-amz-abort-rule-id": "a%20%22rule%22",
    }
    assert "00:00:01 GMT" in expiration_header(Due(due.at_ns + 1, "r"))
