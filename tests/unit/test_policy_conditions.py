import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs3.auth.policy_conditions import _OPERATORS, parse_condition


class Request:
    def __init__(self, **values):
        self._values = {
            key.replace("_", ":", 1).replace("_", "-"): (value,) if isinstance(value, str) else tuple(value)
            for key, value in values.items()
        }

    def values(self, key):
        return self._values.get(key)


def holds(operator, wanted, *given, key="aws:referer", **others):
    values = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    request = Request(**others)
    if given:
        request._values[key] = given
    return parse_condition(operator, key, values, variables=True).holds(request)


ONE_VALUE = [
    # operator, what the policy names, what the request has, whether they fit
    ("StringEquals", "a", "a", True),
    ("StringEquals", "a", "A", False),
    ("StringEquals", ("a", "b"), "b", True),
    ("StringEquals", "a*", "ab", False),
    ("StringEquals", "a*", "a*", True),
    ("StringEquals", "", "", True),
    ("StringEqualsIgnoreCase", "aB", "Ab", True),
    ("StringEqualsIgnoreCase", "a", "b", False),
    ("StringLike", "a*", "ab", True),
    ("StringLike", "a?", "ab", True),
    ("StringLike", "a?", "a", False),
    ("StringLike", ("x", "a*"), "ab", True),
    ("NumericEquals", "10", "10.0", True),
    ("NumericEquals", "10", "11", False),
    ("NumericEquals", "10", "ten", False),
    ("NumericLessThan", "10", "9", True),
    ("NumericLessThan", "10", "10", False),
    ("NumericLessThanEquals", "10", "10", True),
    ("NumericLessThanEquals", "10", "1_0", False),
    ("NumericLessThanEquals", "10", "-1", True),
    ("NumericGreaterThan", "10", "11", True),
    ("NumericGreaterThan", "10", "9" * 40, False),
    ("NumericGreaterThan", ("10", "5"), "6", True),
    ("NumericGreaterThanEquals", "9007199254740993", "9007199254740992", False),
    ("DateEquals", "2026-11-23T04:00:00Z", "2026-11-23T05:00:00+01:00", True),
    ("DateEquals", "2026-11-23T04:00:00Z", "2026-11-22T23:30:00-04:30", True),
    ("DateEquals", "1795406400", "2026-11-23T04:00:00Z", True),
    ("DateEquals", "2026-11-23T00:00:00.5Z", "2026-11-23T00:00:00.50Z", True),
    ("DateEquals", "2026-11-23", "2026-11-23T00:00Z", True),
    ("DateEquals", "2026", "2026-01-01", True),
    ("DateEquals", "2026-11-23", "yesterday", False),
    ("DateLessThan", "2026-11-23T00:00:00Z", "2026-11-22T23:59:59Z", True),
    ("DateLessThan", "2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z", False),
    ("DateLessThanEquals", "2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z", True),
    ("DateGreaterThan", "2026-11", "2026-11-02T00:00:00Z", True),
    ("DateGreaterThanEquals", "2026-11", "2026-10-31T00:00:00Z", False),
    ("Bool", "true", "true", True),
    ("Bool", "True", "true", True),
    ("Bool", "true", "false", False),
    ("Bool", "true", "1", False),
    ("BinaryEquals", "aGk=", "aGk=", True),
    ("BinaryEquals", "aGk=", "aGo=", False),
    ("BinaryEquals", "aGk=", "?", False),
    ("IpAddress", "203.0.113.0/24", "203.0.113.7", True),
    ("IpAddress", "203.0.113.0/24", "203.0.114.7", False),
    ("IpAddress", "203.0.113.7", "203.0.113.7", True),
    ("IpAddress", "203.0.113.99/24", "203.0.113.7", True),
    ("IpAddress", ("10.0.0.0/8", "2001:db8::/32"), "2001:db8:1::1", True),
    ("IpAddress", "2001:db8::/32", "2001:db9::1", False),
    ("IpAddress", "0.0.0.0/0", "2001:db8::1", False),
    ("IpAddress", "203.0.113.0/24", "::ffff:203.0.113.7", True),
    ("IpAddress", "fe80::/10", "fe80::1%eth0", True),
    ("IpAddress", "0.0.0.0/0", "nowhere", False),
    ("ArnEquals", "arn:aws:iam::default:user/a", "arn:aws:iam::default:user/a", True),
    ("ArnLike", "arn:aws:iam::*:user/a*", "arn:aws:iam::default:user/ab", True),
    ("ArnLike", "arn:aws:iam:*", "arn:aws:iam::default:user/a", None),
    ("ArnLike", "arn:*:iam::default:user/a", "arn:aws:x:iam::default:user/a", False),
    ("ArnLike", "arn:aws:*::*:*", "arn:aws:iam::default:user/a:b", True),
    ("ArnLike", "arn:aws:iam::default:user/${aws:userid}", "arn:aws:iam::default:user/7", True),
    ("ArnLike", "arn:aws:iam::default:user/a", "nothing", False),
]


@pytest.mark.parametrize(("operator", "wanted", "given", "expected"), ONE_VALUE)
def test_one_value(operator, wanted, given, expected):
    if expected is None:
        with pytest.raises(ValueError, match="Invalid value"):
            holds(operator, wanted, given)
        return
    assert holds(operator, wanted, given, aws_userid="7") is expected


NEGATIONS = [
    ("StringNotEquals", "StringEquals"),
    ("StringNotEqualsIgnoreCase", "StringEqualsIgnoreCase"),
    ("StringNotLike", "StringLike"),
    ("NumericNotEquals", "NumericEquals"),
    ("DateNotEquals", "DateEquals"),
    ("NotIpAddress", "IpAddress"),
    ("ArnNotEquals", "ArnEquals"),
    ("ArnNotLike", "ArnLike"),
]


@pytest.mark.parametrize(
    ("negation", "wanted", "given", "expected"),
    [
        (negation, wanted, given, not expected)
        for negation, operator in NEGATIONS
        for name, wanted, given, expected in ONE_VALUE
        if name == operator and expected is not None
    ],
)
def test_a_negation_says_the_opposite(negation, wanted, given, expected):
    assert holds(negation, wanted, given, aws_userid="7") is expected


EXAMPLES = {
    "String": "a",
    "Numeric": "1",
    "Date": "2026-11-23",
    "Bool": "true",
    "Binary": "aGk=",
    "Ip": "10.0.0.1",
    "NotIp": "10.0.0.1",
    "Arn": "arn:aws:iam::a:root",
}


def example(operator):
    return next(value for name, value in EXAMPLES.items() if operator.startswith(name))


@pytest.mark.parametrize("operator", sorted(_OPERATORS))
def test_what_the_request_does_not_have(operator):
    negated = operator in dict(NEGATIONS)
    wanted = example(operator)
    assert holds(operator, wanted) is negated
    assert holds(operator + "IfExists", wanted)
    assert holds("ForAllValues:" + operator, wanted)
    assert not holds("ForAnyValue:" + operator, wanted)
    assert holds("ForAnyValue:" + operator + "IfExists", wanted)
    assert holds(operator + "IfExists", wanted, wanted) is holds(operator, wanted, wanted)


@pytest.mark.parametrize(
    ("operator", "given", "expected"),
    [
        ("StringEquals", ("a", "z"), True),
        ("StringEquals", ("y", "z"), False),
        ("StringNotEquals", ("a", "z"), False),
        ("StringNotEquals", ("y", "z"), True),
        ("ForAnyValue:StringEquals", ("a", "z"), True),
        ("ForAnyValue:StringEquals", ("y", "z"), False),
        ("ForAllValues:StringEquals", ("a", "b"), True),
        ("ForAllValues:StringEquals", ("a", "z"), False),
        ("ForAnyValue:StringNotEquals", ("a", "z"), True),
        ("ForAnyValue:StringNotEquals", ("a", "b"), False),
        ("ForAllValues:StringNotEquals", ("a", "z"), False),
        ("ForAllValues:StringNotEquals", ("y", "z"), True),
    ],
)
def test_several_values_of_the_request(operator, given, expected):
    assert holds(operator, ("a", "b"), *given) is expected


@pytest.mark.parametrize(
    ("wanted", "given", "expected"),
    [("true", (), True), ("true", ("x",), False), ("false", (), False), ("false", ("x",), True)],
)
def test_null(wanted, given, expected):
    assert holds("Null", wanted, *given) is expected


@pytest.mark.parametrize(
    ("operator", "wanted", "values", "expected"),
    [
        ("StringEquals", "home/${aws:username}", "home/alice", True),
        ("StringEquals", "home/${aws:username}", "home/bob", False),
        ("StringEqualsIgnoreCase", "HOME/${aws:username}", "home/ALICE", True),
        ("StringLike", "${aws:username}*", "alice/x", True),
        ("StringLike", "${s3:prefix}", "x", False),
        ("StringNotLike", "${s3:prefix}", "x", True),
        ("StringLike", "${s3:prefix, 'x'}", "x", True),
        # of several values none is the one
        ("StringLike", "${s3:requestobjecttagkeys}", "a", False),
    ],
)
def test_variables(operator, wanted, values, expected):
    request = {"aws_username": "alice", "s3_requestobjecttagkeys": ("a", "b")}
    assert holds(operator, wanted, values, **request) is expected


@pytest.mark.parametrize(
    ("operator", "key", "value", "message"),
    [
        ("StringEqual", "aws:referer", "a", "Invalid Condition type : StringEqual"),
        ("stringequals", "aws:referer", "a", "Invalid Condition type"),
        ("StringEqualsIfExistsIfExists", "aws:referer", "a", "Invalid Condition type"),
        ("ForSomeValues:StringEquals", "aws:referer", "a", "Invalid Condition type"),
        ("NullIfExists", "aws:referer", "true", "Invalid Condition type"),
        ("StringEquals", "aws:nobodyknows", "a", "invalid condition key"),
        ("StringEquals", "s3:ExistingObjectTag", "a", "invalid condition key"),
        ("StringEquals", "s3:ExistingObjectTag/", "a", "invalid condition key"),
        ("StringEquals", "aws:referer/x", "a", "invalid condition key"),
        ("StringEquals", "aws:referer", "${nothing}", "is no policy variable"),
        ("NumericEquals", "s3:max-keys", "many", "is no number"),
        ("NumericEquals", "s3:max-keys", "\u0663", "is no number"),
        ("DateEquals", "aws:currenttime", "2026-13-01", "Invalid value"),
        ("DateEquals", "aws:currenttime", "0000", "Invalid value"),
        ("Bool", "aws:securetransport", "yes", "neither true nor false"),
        ("Null", "aws:referer", "", "neither true nor false"),
        ("IpAddress", "aws:sourceip", "10.0.0.0/33", "Invalid value"),
        ("IpAddress", "aws:sourceip", "10.0.0.*", "Invalid value"),
        ("BinaryEquals", "aws:referer", "%", "is no base64"),
        ("ArnLike", "aws:principalarn", "*", "is no ARN"),
    ],
)
def test_what_is_wrong_is_said(operator, key, value, message):
    with pytest.raises(ValueError, match=message):
        parse_condition(operator, key, (value,), variables=True)


@given(st.sampled_from(sorted(_OPERATORS)), st.lists(st.text() | st.from_regex(r"[0-9T:.Z/-]{1,30}"), max_size=3))
def test_whatever_a_request_has_there_is_an_answer(operator, given):
    for prefix in ("", "ForAllValues:", "ForAnyValue:"):
        assert holds(prefix + operator, example(operator), *given) in (True, False)
