"""The policy of a form: what is one, what it lets pass, and what never."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs3.auth.postpolicy import EQ, STARTS_WITH, Condition, Policy, parse_policy
from zs3.errors import S3Error

NOW = 1_800_000_000.0
LATER = "2035-01-01T00:00:00Z"


def encode(document):
    text = document if isinstance(document, str) else json.dumps(document)
    return base64.b64encode(text.encode()).decode()


def parse(*conditions, expiration=LATER):
    return parse_policy(encode({"expiration": expiration, "conditions": list(conditions)}))


def passes(policy, fields, now=NOW):
    try:
        policy.check(fields, now=now)
    except S3Error as error:
        assert error.code == "AccessDenied"
        assert error.message.startswith("Invalid according to Policy: ")
        return False
    return True


def reason(policy, fields, now=NOW):
    with pytest.raises(S3Error) as caught:
        policy.check(fields, now=now)
    assert (caught.value.code, caught.value.status) == ("AccessDenied", 403)
    return caught.value.message.removeprefix("Invalid according to Policy: ")


# Conditions


@pytest.mark.parametrize("condition", [{"key": "a/b"}, ["eq", "$key", "a/b"], ["EQ", "$KeY", "a/b"], {"KEY": "a/b"}])
def test_an_exact_condition_holds_for_that_value_alone(condition):
    policy = parse(condition)
    assert passes(policy, {"key": "a/b"})
    for other in ("a/B", "a/bc", "a/", "", " a/b"):
        assert reason(policy, {"key": other}) == 'Policy Condition failed: ["eq", "$key", "a/b"]'


def test_a_prefix_is_a_prefix():
    policy = parse(["starts-with", "$key", "user/ann/"])
    assert passes(policy, {"key": "user/ann/"})
    assert passes(policy, {"key": "user/ann/cat.jpg"})
    for other in ("user/ann", "User/ann/cat.jpg", "x/user/ann/", ""):
        assert reason(policy, {"key": other}) == 'Policy Condition failed: ["starts-with", "$key", "user/ann/"]'


@pytest.mark.parametrize("condition", [["starts-with", "$x-amz-meta-a", ""], ["eq", "$x-amz-meta-a", ""]])
def test_a_condition_on_a_field_that_is_missing_fails(condition):
    assert passes(parse({"key": "k"}, condition), {"key": "k", "x-amz-meta-a": ""})
    assert "x-amz-meta-a" in reason(parse({"key": "k"}, condition), {"key": "k"})


def test_an_empty_prefix_allows_anything():
    assert passes(parse(["starts-with", "$x-amz-meta-a", ""]), {"x-amz-meta-a": "anything"})


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ("image/jpeg", True),
        ("image/jpeg,image/png", True),
        ("image/jpeg, image/png", True),
        ("image/jpeg, text/html", False),
        ("text/html,image/jpeg", False),
        ("image/jpeg,", False),
        (" image/jpeg", False),
    ],
)
def test_every_member_of_a_list_of_content_types_must_begin_so(given, allowed):
    assert passes(parse(["starts-with", "$Content-Type", "image/"]), {"content-type": given}) is allowed


def test_a_comma_elsewhere_is_a_character():
    assert passes(parse(["starts-with", "$key", "a"]), {"key": "a,b"})


def test_all_conditions_on_a_field_must_hold():
    policy = parse(["starts-with", "$key", "a"], ["starts-with", "$key", "ab"], {"key": "abc"})
    assert passes(policy, {"key": "abc"})
    assert not passes(policy, {"key": "abd"})


def test_what_no_condition_covers_is_refused_by_name():
    fields = {"key": "k", "acl": "private", "x-amz-meta-b": ""}
    assert reason(parse({"key": "k"}), fields) == "Extra input fields: acl, x-amz-meta-b"


def test_what_is_the_signature_or_to_be_ignored_needs_no_condition():
    names = ("x-amz-signature", "file", "policy", "awsaccesskeyid", "signature", "x-ignore-submit")
    assert passes(parse({"key": "k"}), {"key": "k", **dict.fromkeys(names, "1")})


@pytest.mark.parametrize("name", ["x-amz-credential", "x-amz-security-token", "content-md5", "bucket", "tagging"])
def test_what_else_belongs_to_the_credential_or_the_object_needs_one(name):
    assert reason(parse({"key": "k"}), {"key": "k", name: "1"}) == f"Extra input fields: {name}"


def test_a_checksum_proves_and_changes_nothing():
    assert passes(parse({"key": "k"}), {"key": "k", "x-amz-checksum-sha256": "1", "x-amz-checksum-algorithm": "2"})


# Time


@pytest.mark.parametrize(
    ("expiration", "seconds"),
    [
        ("1970-01-01T00:00:10Z", 10),
        ("1970-01-01T00:00:10.000Z", 10),
        ("1970-01-01T00:00:10.5Z", 10.5),
        ("2007-12-01T12:00:00.123456Z", 1196510400.123456),
    ],
)
def test_an_expiration_is_read_to_the_fraction(expiration, seconds):
    assert parse(expiration=expiration).expires_s == seconds


def test_a_policy_is_valid_until_it_expires():
    policy = parse({"key": "k"}, expiration="1970-01-01T00:00:10Z")
    assert passes(policy, {"key": "k"}, now=10)
    assert reason(policy, {"key": "k"}, now=10.001) == "Policy expired."


@pytest.mark.parametrize(
    "expiration",
    [
        *("", "2035-01-01", "2035-01-01T00:00:00", "2035-01-01T00:00:00+00:00", "2035-01-01 00:00:00Z"),
        *("2035-13-01T00:00:00Z", "2035-02-30T00:00:00Z", "2035-01-01T25:00:00Z", "2035-01-01T00:00:00.Z"),
        *("20350101T000000Z", "2035-01-01T00:00:00Z\n", " 2035-01-01T00:00:00Z", "٢٠٣٥-01-01T00:00:00Z", 2051222400),
        *(None, ["2035-01-01T00:00:00Z"], "0000-01-01T00:00:00Z"),
    ],
)
def test_any_other_expiration_is_none(expiration):
    with pytest.raises(S3Error, match=r"InvalidPolicyDocument.*Invalid 'expiration' value"):
        parse(expiration=expiration)


# Sizes


@pytest.mark.parametrize("condition", [["content-length-range", 2, 5], ["Content-Length-Range", "2", "5"]])
def test_a_size_must_be_in_the_range(condition):
    policy = parse(condition)
    for size in (2, 3, 5):
        policy.check_size(size, complete=True)
    policy.check_size(0, complete=False)
    with pytest.raises(S3Error) as caught:
        policy.check_size(1, complete=True)
    assert caught.value.code == "EntityTooSmall"
    assert caught.value.fields == {"ProposedSize": "1", "MinSizeAllowed": "2"}
    for complete in (True, False):
        with pytest.raises(S3Error) as caught:
            policy.check_size(6, complete=complete)
        assert caught.value.code == "EntityTooLarge"
        assert caught.value.fields == {"ProposedSize": "6", "MaxSizeAllowed": "5"}


def test_of_several_ranges_all_hold():
    policy = parse(["content-length-range", 0, 10], ["content-length-range", 5, 20])
    assert (policy.least, policy.most) == (5, 10)


def test_without_a_range_any_size_will_do():
    parse().check_size(2**60, complete=True)
    parse().check_size(0, complete=True)


@pytest.mark.parametrize(
    "sizes", [[], [1], [1, 2, 3], [-1, 0], [0, -1], [1.5, 2], [True, 2], ["", 2], ["1_0", 20], ["+1", 2], [None, 1],
              ["٣", 5], [" 1", 2], [0, 10**18], [0, "9" * 5000]]
)  # fmt: skip
def test_any_other_range_is_none(sizes):
    with pytest.raises(S3Error, match="InvalidPolicyDocument"):
        parse(["content-length-range", *sizes])


# Documents


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", "1", '"a"', "{'expiration': 1}", "\ufeff{}", "{} {}", "[" * 10_000, "{" * 10_000),
        *(b"\xff\xfe", '{"expiration": NaN, "conditions": []}', "[" * 5_000 + "]" * 5_000),
        f'{{"expiration": "{LATER}", "conditions": [{{"key": "a", "key": "b"}}]}}',
        f'{{"expiration": "{LATER}", "conditions": [], "conditions": [{{"key": "a"}}]}}',
        f'{{"expiration": "{LATER}", "conditions": [["content-length-range", 0, {"9" * 5_000}]]}}',
    ],
)
def test_what_is_no_json_document_is_refused(text):
    raw = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(S3Error, match="InvalidPolicyDocument"):
        parse_policy(base64.b64encode(raw).decode())


@pytest.mark.parametrize("text", ["e30", "e30=\n", "e3 0=", "e30=!", "ü", "====", "%7B%7D"])
def test_what_is_no_base64_is_refused(text):
    with pytest.raises(S3Error, match="InvalidPolicyDocument"):
        parse_policy(text)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"conditions": []}, "missing expiration"),
        ({"expiration": LATER}, "missing conditions"),
        ({"EXPIRATION": LATER, "conditions": []}, "missing expiration"),
        ({"expiration": LATER, "CONDITIONS": []}, "missing conditions"),
        ({"expiration": LATER, "conditions": [], "version": 2}, "Unexpected: 'version'"),
        ({"expiration": LATER, "conditions": {}}, "must be a List"),
        ({"expiration": LATER, "conditions": None}, "must be a List"),
    ],
)
def test_a_document_has_these_two_parts_and_no_others(document, reason):
    with pytest.raises(S3Error, match=f"InvalidPolicyDocument: Invalid Policy: .*{reason}"):
        parse_policy(encode(document))


@pytest.mark.parametrize(
    "condition",
    [
        *({}, {"a": "b", "c": "d"}, {"a": 1}, {"a": None}, {"a": ["b"]}, [], "a", 1, None, True, [[]]),
        *(["eq"], ["eq", "$a"], ["eq", "$a", "b", "c"], ["eq", "a", "b"], ["eq", "$a", 1], ["eq", 1, "b"]),
        *(["ends-with", "$a", "b"], ["", "$a", "b"], [None, "$a", "b"], ["starts-with", "a", ""], ["in", "$a", ["b"]]),
    ],
)
def test_what_is_no_condition_is_refused_and_never_passed_over(condition):
    with pytest.raises(S3Error, match="InvalidPolicyDocument"):
        parse({"key": "k"}, condition)


@pytest.mark.parametrize(
    ("text", "value"),
    [(r"\$100", "$100"), (r"\\$foo", r"\$foo"), (r"\\\$x", r"\$x"), (r"a\vb", "a\vb"), (r"\u00fc\n\"", 'ü\n"')],
)
def test_the_escapes_that_aws_documents_are_understood(text, value):
    policy = parse_policy(encode(f'{{"expiration": "{LATER}", "conditions": [{{"key": "{text}"}}]}}'))
    assert policy.conditions == (Condition(EQ, "key", value),)


# Laws

NAMES = st.sampled_from(["bucket", "key", "acl", "content-type", "x-amz-meta-a", "x-amz-date"])
VALUES = st.text("ab,", max_size=3)
FORMS = st.dictionaries(NAMES, VALUES)
CONDITIONS = st.builds(Condition, st.sampled_from([EQ, STARTS_WITH]), NAMES, VALUES)
POLICIES = st.builds(Policy, st.just(NOW), st.lists(CONDITIONS, max_size=5).map(tuple))


def plus(policy, condition):
    return Policy(policy.expires_s, (*policy.conditions, condition))


@given(POLICIES, CONDITIONS, FORMS)
def test_a_further_condition_never_widens_what_its_field_may_be(policy, condition, fields):
    """It may only cover a field that was not to be sent at all, and with the values it names."""
    if passes(plus(policy, condition), fields):
        assert condition.holds(fields)
        rest = {name: value for name, value in fields.items() if name != condition.field}
        covered = any(each.field == condition.field for each in policy.conditions)
        assert passes(policy, fields if covered else rest)


@given(POLICIES, FORMS, NAMES)
def test_a_form_with_a_field_that_is_not_covered_never_passes(policy, fields, name):
    without = Policy(policy.expires_s, tuple(each for each in policy.conditions if each.field != name))
    assert not passes(without, fields | {name: "a"})


@given(POLICIES, FORMS)
def test_a_form_passes_if_and_only_if_every_condition_holds_and_every_field_is_covered(policy, fields):
    wanted = all(each.holds(fields) for each in policy.conditions)
    covered = fields.keys() <= {each.field for each in policy.conditions}
    assert passes(policy, fields) is (wanted and covered)


@given(POLICIES, FORMS)
def test_nothing_passes_when_it_has_expired(policy, fields):
    assert not passes(policy, fields, now=NOW + 1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(JSON | st.fixed_dictionaries({"expiration": st.just(LATER), "conditions": st.lists(JSON, max_size=3)}))
def test_any_json_is_a_policy_or_refused(document):
    try:
        parse_policy(encode(document))
    except S3Error as error:
        assert error.code == "InvalidPolicyDocument"


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_a_policy_or_refused(raw):
    try:
        parse_policy(base64.b64encode(raw).decode())
    except S3Error as error:
        assert error.code == "InvalidPolicyDocument"
