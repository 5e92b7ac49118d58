import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zs3.auth.access import ACCOUNT_ACTIONS
from zs3.auth.accounts import canonical_id
from zs3.auth.policy import MAX_SIZE, NOBODY, Verdict, identities, parse_policy, stored_policy
from zs3.auth.policy_conditions import _OPERATORS
from zs3.auth.policy_names import BUCKET_ACTIONS, KEYS, OBJECT_ACTIONS
from zs3.errors import S3Error
from zs3.web.operations import OPERATIONS

ANONYMOUS = identities("@anonymous", None)
ALICE = identities("family", "alice")
ARN = "arn:aws:s3:::photos"


class Request:
    """Has the values it is given, and notes what it was asked for."""

    def __init__(self, values=None):
        self.known = values or {}
        self.asked = []

    def values(self, key):
        self.asked.append(key)
        return self.known.get(key)


def statement(**changes):
    elements = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": ARN + "/*", **changes}
    return {name: value for name, value in elements.items() if value is not None}


def document(*statements, **elements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements), **elements})


def policy(*statements, **elements):
    return parse_policy(document(*statements, **elements), "photos")


def judge(given, *, who=ANONYMOUS, action="s3:GetObject", resource="photos/a/b", **values):
    request = Request({key.replace("_", ":", 1): (value,) for key, value in values.items()})
    verdict = given.judge(who, action, resource, request)
    return None if verdict is None else verdict.allows


def test_what_is_not_said_is_no_opinion():
    assert judge(policy(statement()), action="s3:PutObject") is None
    assert judge(policy(statement()), resource="photos") is None


def test_a_denial_wins_wherever_it_stands():
    allow, deny = statement(), statement(Effect="Deny")
    assert judge(policy(allow)) is True
    assert judge(policy(allow, deny)) is False
    assert judge(policy(deny, allow)) is False


def test_the_administrator_is_told_which_statement_decided():
    found = policy(statement(Action="s3:PutObject"), statement(Sid="Readers"))
    assert found.judge(ANONYMOUS, "s3:GetObject", "photos/a", Request()) == Verdict(True, "statement 2 (Readers)")
    assert found.judge(ANONYMOUS, "s3:PutObject", "photos/a", Request()) == Verdict(True, "statement 1")


@pytest.mark.parametrize(
    ("principal", "anonymous", "alice"),
    [
        ("*", True, True),
        ({"AWS": "*"}, True, True),
        ({"AWS": ["arn:aws:iam::other:root", "*"]}, True, True),
        ({"AWS": "arn:aws:iam::family:root"}, None, True),
        ({"AWS": "family"}, None, True),
        ({"AWS": "arn:aws:iam::family:user/alice"}, None, True),
        ({"AWS": "arn:aws:iam::family:user/bob"}, None, None),
        ({"AWS": "arn:aws:iam::other:user/alice"}, None, None),
        ({"AWS": "arn:aws:iam::other:root"}, None, None),
        ({"AWS": "arn:aws:iam:::user/alice"}, None, None),
        ({"AWS": "123456789012"}, None, None),
        ({"CanonicalUser": canonical_id("family")}, None, True),
        ({"CanonicalUser": canonical_id("other")}, None, None),
        ({"Service": "logging.s3.amazonaws.com"}, None, None),
        ({"Service": "logging.s3.amazonaws.com", "AWS": "family"}, None, True),
    ],
)
def test_principals(principal, anonymous, alice):
    found = policy(statement(Principal=principal))
    assert (judge(found), judge(found, who=ALICE)) == (anonymous, alice)
    # Who is not named is denied.
    found = policy(statement(Effect="Deny", Principal=None, NotPrincipal=principal))
    assert (judge(found), judge(found, who=ALICE)) == (
        None if anonymous else False,
        None if alice else False,
    )


def test_no_account_is_the_default_one():
    found = policy(statement(Principal={"AWS": "arn:aws:iam:::user/alice"}))
    assert judge(found, who=identities("default", "alice")) is True


@pytest.mark.parametrize(
    ("actions", "included", "excluded"),
    [
        ("s3:GetObject", ["s3:GetObject"], ["s3:GetObjectAcl", "s3:PutObject"]),
        ("S3:getobject", ["s3:GetObject"], ["s3:GetObjectAcl"]),
        ("s3:GetObject*", ["s3:GetObject", "s3:GetObjectAcl"], ["s3:GetBucketAcl"]),
        ("s3:?etObject", ["s3:GetObject"], ["s3:PutObject"]),
        ("s3:*", ["s3:GetObject", "s3:PutObject"], []),
        ("*", ["s3:GetObject", "s3:PutObject"], []),
        (["s3:GetObject", "s3:PutObject"], ["s3:GetObject", "s3:PutObject"], ["s3:DeleteObject"]),
    ],
)
def test_actions(actions, included, excluded):
    found, opposite = policy(statement(Action=actions)), policy(statement(Action=None, NotAction=actions))
    for action in included:
        assert (judge(found, action=action), judge(opposite, action=action)) == (True, None)
    for action in excluded:
        assert (judge(found, action=action), judge(opposite, action=action)) == (None, True)


def test_every_operation_needs_an_action_that_policies_can_name():
    # These are on no resource of a bucket.
    needed = {operation.iam for operation in OPERATIONS} - {"s3:ListAllMyBuckets"} - ACCOUNT_ACTIONS
    assert needed <= BUCKET_ACTIONS | OBJECT_ACTIONS
    everything = policy(statement(Effect="Deny", Action="s3:*", Resource="*"))
    for operation in OPERATIONS:
        assert judge(everything, action=operation.iam) is False


@pytest.mark.parametrize(
    ("resources", "included", "excluded"),
    [
        (ARN + "/*", ["photos/a", "photos/a/b"], ["photos"]),
        (ARN, ["photos"], ["photos/a"]),
        (ARN + "*", ["photos", "photos/a"], []),
        ("*", ["photos", "photos/a"], []),
        ("arn:aws:s3:::*", ["photos", "photos/a"], []),
        ([ARN, ARN + "/a*c"], ["photos", "photos/abc", "photos/a/c"], ["photos/ab", "photos/A/c"]),
        (ARN + "/a?c", ["photos/abc"], ["photos/ac", "photos/abbc"]),
        (ARN + "/${aws:username}/*", ["photos/alice/x"], ["photos/bob/x", "photos/${aws:username}/x"]),
        (ARN + "/${*}", ["photos/*"], ["photos/a"]),
        (ARN + "/${aws:sourcevpc}", [], ["photos/", "photos/a"]),
    ],
)
def test_resources(resources, included, excluded):
    found = policy(statement(Action="*", Resource=resources))
    opposite = policy(statement(Action="*", Resource=None, NotResource=resources))
    for resource in included:
        assert judge(found, resource=resource, aws_username="alice") is True
        assert judge(opposite, resource=resource, aws_username="alice") is None
    for resource in excluded:
        assert judge(found, resource=resource, aws_username="alice") is None
        assert judge(opposite, resource=resource, aws_username="alice") is True


def test_before_there_were_variables_they_are_text():
    found = policy(statement(Resource=ARN + "/${aws:username}"), Version="2008-10-17")
    assert judge(found, resource="photos/${aws:username}", aws_username="alice") is True
    assert judge(found, resource="photos/alice", aws_username="alice") is None
    unsaid = json.dumps({"Statement": statement(Resource=ARN + "/${aws:username}")})
    assert judge(parse_policy(unsaid, "photos"), resource="photos/${aws:username}") is True


def test_all_conditions_must_hold():
    condition = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}, "Bool": {"aws:SecureTransport": True}}
    found = policy(statement(Condition=condition))
    assert judge(found, aws_sourceip="10.1.1.1", aws_securetransport="true") is True
    assert judge(found, aws_sourceip="11.1.1.1", aws_securetransport="true") is None
    assert judge(found, aws_sourceip="10.1.1.1", aws_securetransport="false") is None
    assert judge(found) is None


def test_values_may_be_numbers_and_truth_values():
    condition = {"NumericLessThanEquals": {"s3:max-keys": 10}, "Bool": {"aws:SecureTransport": [False]}}
    found = policy(statement(Action="s3:ListBucket", Resource=ARN, Condition=condition))
    values = {"aws:securetransport": ("false",)}
    for count, allows in (("10", Verdict(True, "statement 1")), ("11", None)):
        request = Request({**values, "s3:max-keys": (count,)})
        assert found.judge(ANONYMOUS, "s3:ListBucket", "photos", request) == allows


def test_nothing_is_looked_up_that_no_statement_asks_for():
    found = policy(
        statement(Resource=ARN + "/x", Condition={"StringEquals": {"aws:Referer": "a"}}),
        statement(Principal={"AWS": "other"}, Condition={"StringEquals": {"aws:UserAgent": "a"}}),
        statement(Action="s3:PutObject", Condition={"StringEquals": {"s3:x-amz-acl": "a"}}),
        statement(Condition={"StringEquals": {"s3:versionid": "a"}}),
    )
    request = Request()
    assert found.judge(ANONYMOUS, "s3:GetObject", "photos/a", request) is None
    assert request.asked == ["s3:versionid"]


@pytest.mark.parametrize(
    ("conditions", "resource", "expected"),
    [
        ({"StringEquals": {"s3:ExistingObjectTag/a": "b"}}, ARN + "/*", True),
        ({"Null": {"S3:existingobjecttag/a": "true"}}, ARN + "/*", True),
        ({"StringEquals": {"aws:referer": "${s3:ExistingObjectTag/a}"}}, ARN + "/*", True),
        ({}, ARN + "/${s3:ExistingObjectTag/a}", True),
        ({"StringEquals": {"s3:RequestObjectTag/a": "b"}}, ARN + "/*", False),
    ],
)
def test_the_object_is_needed_only_for_its_tags(conditions, resource, expected):
    found = policy(statement(Condition=conditions, Resource=resource), statement(Action="s3:PutObject"))
    assert found.needs_object("s3:GetObject") is expected
    assert not found.needs_object("s3:PutObject")


MALFORMED = [
    ("", "first byte must be"),
    ("[]", "first byte must be"),
    ("{", "invalid Json"),
    ("{}{}", "invalid Json"),
    ('{"Version": NaN}', "invalid Json"),
    ('{"Statement":' + "[" * 9000, "invalid Json"),
    ('{"Statement":' + '{"a":' * 3000 + "1" + "}" * 3001, "Unknown field|invalid Json"),
    ('{"Version":"2012-10-17","Version":"2012-10-17"}', "twice"),
    (document(statement()).replace('"Effect": "Allow"', '"Effect": "Deny", "Effect": "Allow"'), "twice"),
    (document(statement(), Version="2012-10-18"), "valid version string"),
    (document(statement(), Version=2012), "valid version string"),
    (document(statement(), Version=["2012-10-17"]), "valid version string"),
    (document(statement(), Id=1), "Id must be a string"),
    (document(statement(), Statements=[]), "Unknown field Statements"),
    ('{"Version":"2012-10-17"}', "Missing required field Statement"),
    (document(), "Statement is empty"),
    (json.dumps({"Statement": "x"}), "Statement is empty"),
    (document("x"), "Statement must be an object"),
    (document(statement(Effect=None)), "Missing required field Effect"),
    (document(statement(Effect="allow")), "Invalid effect : allow"),
    (document(statement(Effect=["Allow"])), "Invalid effect"),
    (document(statement(Sid=5)), "Sid must be a string"),
    (document(statement(Actions="s3:*")), "Unknown field Actions"),
    (document(statement(condition={})), "Unknown field condition"),
    (document(statement(Principal=None)), "Missing required field Principal"),
    (document(statement(NotPrincipal="*")), "both Principal and NotPrincipal"),
    (document(statement(Principal=None, NotPrincipal={"AWS": "a"})), "Allow with NotPrincipal"),
    (document(statement(Principal="alice")), "Invalid principal"),
    (document(statement(Principal={})), "Invalid principal"),
    (document(statement(Principal=[])), "Invalid principal"),
    (document(statement(Principal={"AWS": []})), "Invalid principal"),
    (document(statement(Principal={"AWS": [1]})), "Invalid principal"),
    (document(statement(Principal={"AWS": ""})), "Invalid principal"),
    (document(statement(Principal={"AWS": "a b"})), "Invalid principal"),
    (document(statement(Principal={"AWS": "arn:aws:iam::*:root"})), "Invalid principal"),
    (document(statement(Principal={"AWS": "arn:aws:iam::a:user/*"})), "Invalid principal"),
    (document(statement(Principal={"AWS": "arn:aws:iam::a:role/b"})), "Invalid principal"),
    (document(statement(Principal={"AWS": "arn:aws:iam::@anonymous:root"})), "Invalid principal"),
    (document(statement(Principal={"CanonicalUser": "*"})), "Invalid principal"),
    (document(statement(Principal={"aws": "*"})), "Invalid principal"),
    (document(statement(Action=None)), "Missing required field Action"),
    (document(statement(Action=[])), "must contain actions"),
    (document(statement(Action=[1])), "must contain actions"),
    (document(statement(Action="s3:GetObjects")), "invalid action"),
    (document(statement(Action=["s3:GetObject", "ec2:*"])), "invalid action"),
    (document(statement(Action="GetObject")), "invalid action"),
    (document(statement(Resource=None)), "Missing required field Resource"),
    (document(statement(Resource=[])), "must contain resources"),
    (document(statement(Resource="photos/*")), "invalid resource"),
    (document(statement(Resource="arn:aws:s3:::other/*")), "invalid resource"),
    (document(statement(Resource=[ARN, "arn:aws:s3:::other"])), "invalid resource"),
    (document(statement(Resource="arn:aws:s3:::photos2")), "invalid resource"),
    (document(statement(Resource="arn:aws:s3:::photo?")), None),
    (document(statement(Resource="arn:aws:ec2:::photos")), "invalid resource"),
    (document(statement(Resource=ARN + "/${nobody}")), "invalid resource"),
    (document(statement(Effect="Deny", Resource=ARN)), "does not apply"),
    (document(statement(Effect="Deny", Action=["s3:GetObject", "s3:ListBucket"])), "does not apply"),
    (document(statement(Effect="Deny", Action="s3:ListAllMyBuckets", Resource="*")), "does not apply"),
    (document(statement(Condition=[])), "Condition must be"),
    (document(statement(Condition={"StringEquals": "a"})), "Condition must be"),
    (document(statement(Condition={"StringEquals": {"aws:Referer": []}})), "Condition must be"),
    (document(statement(Condition={"StringEquals": {"aws:Referer": [None]}})), "Condition must be"),
    (document(statement(Condition={"StringEquals": {"aws:Referer": {"a": "b"}}})), "Condition must be"),
    (document(statement(Condition={"StringEqual": {"aws:Referer": "a"}})), "Invalid Condition type"),
    (document(statement(Condition={"StringEquals": {"aws:Refferer": "a"}})), "invalid condition key"),
    (document(statement(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/99"}})), "Invalid value"),
    (document(statement(Sid="x" * MAX_SIZE)), "larger than"),
    (document(statement(Sid="é" * 3600)).encode().decode("unicode-escape"), None),
]


@pytest.mark.parametrize(("text", "reason"), MALFORMED)
def test_what_is_not_understood_is_refused_with_the_reason(text, reason):
    if reason is None:
        parse_policy(text, "photos")
        return
    with pytest.raises(S3Error, match=reason) as raised:
        parse_policy(text, "photos")
    assert raised.value.code == "MalformedPolicy"
    # What was kept all the same denies, whoever asks for whatever.
    kept = stored_policy(text, "photos")
    assert judge(kept) is judge(kept, who=ALICE, action="s3:PutBucketPolicy", resource="photos") is False
    assert not kept.is_public


def test_the_policy_of_another_bucket_denies():
    assert judge(stored_policy(document(statement()), "photos")) is True
    assert judge(stored_policy(document(statement()), "renamed"), resource="renamed/a") is False


def test_size_counts_bytes():
    text = document(statement())
    room = MAX_SIZE - len(text)
    parse_policy(text + " " * room, "photos")
    with pytest.raises(S3Error, match="larger"):
        parse_policy(text[:-1] + " " * (room - 1) + "\u00a0}", "photos")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"Principal": {"AWS": ["family", "*"]}}, True),
        ({"Effect": "Deny"}, False),
        ({"Principal": {"AWS": "family"}}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "2001:db8::/32"]}}}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": ["10.0.0.1", "0.0.0.0/1"]}}}, True),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "2001::/31"}}}, True),
        ({"Condition": {"IpAddressIfExists": {"aws:SourceIp": "10.0.0.1"}}}, True),
        ({"Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.1"}}}, True),
        ({"Condition": {"StringEquals": {"aws:SourceIp": "10.0.0.1"}}}, True),
        ({"Condition": {"StringEquals": {"aws:PrincipalAccount": "family"}}}, False),
        ({"Condition": {"StringLike": {"aws:PrincipalAccount": "fam*"}}}, True),
        ({"Condition": {"StringEquals": {"aws:username": "${aws:username}"}}}, True),
        ({"Condition": {"StringNotEquals": {"aws:PrincipalAccount": "family"}}}, True),
        ({"Condition": {"ForAllValues:StringEquals": {"aws:PrincipalAccount": "family"}}}, True),
        ({"Condition": {"StringLike": {"aws:Referer": "http://example.com/*"}}}, True),
        ({"Condition": {"StringEquals": {"s3:x-amz-server-side-encryption-aws-kms-key-id": "x"}}}, True),
        ({"Condition": {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::family:user/alice"}}}, False),
        ({"Condition": {"Bool": {"aws:SecureTransport": "true"}}}, True),
    ],
)
def test_what_is_public(changes, expected):
    assert policy(statement(**changes)).is_public is expected
    assert policy(statement(Principal={"AWS": "family"}), statement(**changes)).is_public is expected


# Laws -----------------------------------------------------------------------------------------------------------------

PRINCIPALS = ["*", {"AWS": "family"}, {"AWS": "arn:aws:iam::other:root"}, {"AWS": "arn:aws:iam::family:user/alice"}]
CONDITIONS = st.dictionaries(
    st.sampled_from([name for name in _OPERATORS if name.startswith(("String", "Bool", "Null"))]),
    st.dictionaries(
        st.sampled_from(["aws:Referer", "aws:SecureTransport", "s3:prefix", "s3:ExistingObjectTag/a"]),
        st.sampled_from(["true", "false"]),
        min_size=1,
        max_size=2,
    ),
    max_size=2,
)


@st.composite
def statements(draw, effects=("Allow", "Deny")):
    effect = draw(st.sampled_from(effects))
    negative = effect == "Deny" and draw(st.booleans())
    return {
        "Effect": effect,
        "NotPrincipal" if negative else "Principal": draw(st.sampled_from(PRINCIPALS)),
        draw(st.sampled_from(["Action", "NotAction"])): draw(st.sampled_from(["s3:Get*", "s3:PutObject", "s3:List?*"])),
        draw(st.sampled_from(["Resource", "NotResource"])): draw(st.sampled_from(["*", ARN + "*", ARN + "/?*"])),
        "Condition": draw(CONDITIONS),
    }


REQUESTS = st.tuples(
    st.sampled_from([ANONYMOUS, ALICE, identities("other", "bob")]),
    st.sampled_from(sorted(BUCKET_ACTIONS | OBJECT_ACTIONS)),
    st.sampled_from(["photos", "photos/a", "photos/true"]),
    st.dictionaries(
        st.sampled_from(["aws:referer", "aws:securetransport", "s3:prefix", "s3:existingobjecttag/a"]),
        st.lists(st.sampled_from(["true", "false", "x"]), max_size=2),
    ),
)


def ask(found, request):
    who, action, resource, values = request
    verdict = found.judge(who, action, resource, Request(values))
    return None if verdict is None else verdict.allows


@settings(max_examples=300)
@given(st.lists(statements(), min_size=1, max_size=4), statements(effects=("Deny",)), REQUESTS)
def test_another_denial_never_widens(given, denial, request):
    before, after = ask(policy(*given), request), ask(policy(*given, denial), request)
    assert after is before or after is False


@settings(max_examples=300)
@given(st.lists(statements(), min_size=1, max_size=5), st.randoms(use_true_random=False), REQUESTS)
def test_the_order_of_statements_never_matters(given, random, request):
    shuffled = random.sample(given, len(given))
    assert ask(policy(*shuffled), request) is ask(policy(*given), request)


# The fast way ---------------------------------------------------------------------------------------------------------

PATHS = ["photos", "photos/", "photos/a", "photos/a/b", "photos/b", "photos/alice/x", "photosx/a", "*", ""]
TAILS = (
    *("", "/*", "*", "/a", "/a/*", "/a*b", "/?", "/a/?", "/b"),
    *("/${aws:username}/*", "/a/${aws:username}", "/${aws:username, 'a'}/*", "/${*}"),
)
RESOURCES = st.sampled_from(["*", ARN[:-1] + "?/a", *(ARN + tail for tail in TAILS)])


@st.composite
def far_and_wide(draw):
    """Statements about few objects or many."""
    resources = draw(st.lists(RESOURCES, min_size=1, max_size=3))
    return draw(statements()) | {
        "Resource": resources,
        "NotResource": None,
        "Condition": draw(CONDITIONS | st.just({})),
    }


def judge_slowly(found, who, action, resource, request, allowed):
    """Statement by statement, as it is defined."""
    for allows, someone in ((False, who), (True, allowed)):
        for each in found.statements:
            if (
                each.allows is allows
                and action in each.actions
                and bool(each.principals & someone) is not each.others
                and each.resources(resource, request)
                and all(condition.holds(request) for condition in each.conditions)
            ):
                return Verdict(allows, each.label)
    return None


@settings(max_examples=500)
@given(
    st.lists(far_and_wide() | statements(), min_size=1, max_size=6),
    st.lists(
        st.tuples(REQUESTS, st.sampled_from(PATHS), st.sampled_from([None, NOBODY, ANONYMOUS, ALICE])), min_size=1
    ),
)
def test_the_fast_way_says_what_the_statements_say(given, requests):
    documents = [{name: value for name, value in each.items() if value is not None} for each in given]
    try:
        found = policy(*documents)
    except S3Error:
        return  # a denial that denies nothing
    for (who, action, _, values), resource, allowed in requests:
        request = Request(values | {"aws:username": ["alice"]})
        assert found.judge(who, action, resource, request, allowed=allowed) == judge_slowly(
            found, who, action, resource, request, who if allowed is None else allowed
        )


def test_what_is_about_other_objects_costs_no_look_at_conditions():
    found = policy(
        *(
            statement(Resource=f"{ARN}/{number}/*", Condition={"Bool": {"aws:SecureTransport": "false"}})
            for number in range(20)
        )
    )
    request = Request()
    assert found.judge(ANONYMOUS, "s3:GetObject", "photos/a", request) is None
    assert not request.asked


def test_a_condition_that_is_in_several_statements_is_asked_once():
    condition = {"Bool": {"aws:SecureTransport": "false"}}
    found = policy(*(statement(Effect="Deny", Condition=condition) for _ in range(20)), statement())
    request = Request({"aws:securetransport": ("true",)})
    assert found.judge(ANONYMOUS, "s3:GetObject", "photos/a", request) == Verdict(True, "statement 21")
    assert request.asked == ["aws:securetransport"]


def test_what_is_remembered_of_callers_is_bounded():
    found = policy(statement(Principal={"AWS": "arn:aws:iam::family:user/alice"}))
    for number in range(1000):
        assert judge(found, who=identities("family", f"user{number}")) is None
    assert len(found._by_who) <= 256
    assert judge(found, who=ALICE) is True


def test_of_a_long_policy_less_is_remembered():
    """A bucket may be given many policies, and of the last ones of all buckets something is remembered."""
    found = policy(*(statement(Effect="Deny", Resource=f"arn:aws:s3:::photos/{number}") for number in range(100)))
    for number in range(1000):
        assert judge(found, who=identities("family", f"user{number}")) is None
    assert len(found._by_who) <= 164
    (first, _), (second, _), *_ = found._by_who.values()
    assert all(one is other for one, other in zip(first._all, second._all, strict=True))


ANY_KEY = st.sampled_from(sorted(key + "x" if key.endswith("/") else key for key in KEYS))


@settings(max_examples=300)
@given(
    st.dictionaries(
        st.sampled_from(sorted(_OPERATORS)),
        st.dictionaries(ANY_KEY, st.sampled_from(["1", "true", "2026", "10.0.0.1", "${aws:username}", "*", "aGk="])),
    ),
    st.dictionaries(ANY_KEY, st.lists(st.text(), max_size=3)),
    st.text(),
    st.text(),
)
def test_whatever_was_read_has_an_answer_to_whatever_is_asked(conditions, values, action, resource):
    try:
        found = policy(statement(Action="*", Resource=ARN + "/${aws:username}*", Condition=conditions))
    except S3Error:
        return
    for asked in (action, "s3:GetObject"):
        assert ask(found, (ALICE, asked, resource, values)) in (True, None)


NAMES = st.sampled_from(["Version", "Statement", "Effect", "Principal", "Action", "Resource", "Condition", "AWS"])
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
)


@given(st.text() | DOCUMENTS.map(json.dumps))
def test_whatever_text_comes_is_read_or_refused(text):
    try:
        parse_policy(text, "photos")
    except S3Error as error:
        assert error.code == "MalformedPolicy"


def test_what_is_asked_for_does_not_pile_up():
    found = policy(statement(Action="*", Resource="*"))
    for _ in range(100):
        judge(found, action=f"s3:{random.random()}")
    assert len(found._by_action) == 0
