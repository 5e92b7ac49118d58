"""Policies of users: how the users file names them, and what is refused."""

import json

import pytest

from zs3.auth import users
from zs3.auth.access import ENFORCED, Principal, evaluate, is_possible, untouched
from zs3.auth.policy import parse_policy
from zs3.errors import S3Error

ARN = "arn:aws:s3:::photos"
ALICE = '[users.alice]\naccess_key = "ALICE"\nsecret_key = "alices-secret"\n'


class Request:
    def values(self, key):
        return {"aws:username": ("alice",)}.get(key)


def statement(**changes):
    elements = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": ARN + "/*", **changes}
    return {name: value for name, value in elements.items() if value is not None}


def table(name, *statements):
    document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, indent=1)
    return f"[policies.{name}]\ndocument = '''\n{document}\n'''\n"


def alice(*texts, entry='policies = ["home"]\n'):
    return users.parse("".join(texts) + ALICE + entry)["ALICE"]


def decide(user, action="s3:GetObject", bucket="photos", key="a"):
    return evaluate(Principal(user), action, bucket, untouched(ENFORCED), key=key, context=Request())


def test_a_user_may_what_the_policies_allow_and_no_more():
    user = alice(table("home", statement()))
    assert decide(user) == (True, "a policy of the user allows it: home, statement 1", True)
    assert decide(user, bucket="music") == (False, "no policy of the user allows it", True)
    assert not decide(user, "s3:PutObject").allowed


def test_several_policies_are_as_one():
    texts = table("home", statement()), table("write", statement(Action="s3:PutObject", Sid="in"))
    user = alice(*texts, table("not", statement(Effect="Deny", Resource="*")), entry='policies = ["home", "write"]')
    assert decide(user).allowed
    assert decide(user, "s3:PutObject").reason == "a policy of the user allows it: write, statement 1 (in)"
    denied = alice(*texts, table("not", statement(Effect="Deny")), entry='policies = ["home", "not"]')
    assert decide(denied) == (False, "a policy of the user denies it: not, statement 1", True)


def test_a_user_with_an_empty_list_may_nothing():
    user = alice(entry="policies = []")
    assert not decide(user).allowed
    assert not is_possible(Principal(user), "s3:GetObject", "photos", untouched(ENFORCED))


@pytest.mark.parametrize(
    ("more", "action", "bucket", "allowed"),
    [
        ('role = "reader"', "s3:GetObject", "photos", True),
        ('role = "reader"', "s3:PutObject", "photos", False),
        ('role = "admin"', "s3:PutObject", "photos", True),
        ('role = "admin"', "s3:DeleteBucketPolicy", "photos", False),
        ('role = "writer"\nbuckets = ["music"]', "s3:GetObject", "photos", False),
        ('buckets = ["music"]', "s3:GetObject", "photos", False),
        ('buckets = ["photos"]', "s3:PutObject", "photos", True),
    ],
)
def test_role_and_buckets_are_limits_beside_the_policies(more, action, bucket, allowed):
    user = alice(
        table("home", statement(Action=["s3:GetObject", "s3:PutObject"])), entry=f'policies = ["home"]\n{more}'
    )
    assert decide(user, action, bucket).allowed is allowed


def test_variables_stand_for_the_user():
    user = alice(table("home", statement(Action="s3:*", Resource="arn:aws:s3:::home/${aws:username}/*")))
    assert decide(user, bucket="home", key="alice/a").allowed
    assert not decide(user, bucket="home", key="bob/a").allowed


def test_what_belongs_to_no_bucket_takes_a_resource_that_is_everything():
    for resource in ("*", "arn:aws:s3:::*"):
        listing = alice(table("home", statement(Action="s3:ListAllMyBuckets", Resource=resource)))
        assert decide(listing, "s3:ListAllMyBuckets", "", "").allowed
    listing = alice(table("home", statement(Action="s3:ListAllMyBuckets", Resource=ARN)))
    assert not decide(listing, "s3:ListAllMyBuckets", "", "").allowed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (table("home", statement(Principal="*")), "policies.home: Policy document should not specify a principal."),
        (
            table("home", statement(NotPrincipal="*", Effect="Deny")),
            "policies.home: Policy document should not specify a principal.",
        ),
        (table("home", statement(Action="s3:Fly")), "policies.home: Policy has invalid action"),
        (table("home", statement(Resource="photos/*")), "policies.home: Policy has invalid resource"),
        (table("home", statement(Resource="arn:aws:s3:::")), "policies.home: Policy has invalid resource"),
        (
            table("home", statement(Effect="Deny", Resource=ARN)),
            "policies.home: Action does not apply to any resource(s) in statement",
        ),
        (
            table("home", statement(Effect="Deny", Action="s3:ListBucket")),
            "policies.home: Action does not apply to any resource(s) in statement",
        ),
        (
            table("home", statement(Effect="Deny", Action="s3:ListAllMyBuckets")),
            "policies.home: Action does not apply to any resource(s) in statement",
        ),
        ("[policies.home]\ndocument = '{}'\n", "policies.home: Missing required field Statement"),
        ("[policies.home]\ndocument = 'x'\n", "policies.home: Policies must be valid JSON"),
        ("[policies.home]\n", "policies.home: must be a table [policies.home] with a text, document"),
        ("[policies.home]\ndocument = 1\n", "policies.home: must be a table [policies.home] with a text, document"),
        ("[policies.home]\ndocument = '{}'\nversion = 1\n", "policies.home: must be a table"),
        ("[policies]\nhome = '{}'\n", "policies.home: must be a table"),
        ("policies = []\n", "policies must be tables [policies.NAME]"),
        (table("house", statement()), "users.alice: there is no policy 'home': it would be a table [policies.NAME]"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(text, message):
    with pytest.raises(ValueError, match="policies") as refusal:
        alice(text)
    assert str(refusal.value).startswith(message)


@pytest.mark.parametrize("value", ['"home"', "[1]", "{}"])
def test_the_policies_of_a_user_are_a_list_of_names(value):
    with pytest.raises(ValueError, match=r"^users.alice: policies must be a list of names$"):
        alice(table("home", statement()), entry=f"policies = {value}")


def test_who_has_no_policies_needs_a_role():
    with pytest.raises(ValueError, match=r"^users.alice: role must be one of"):
        alice(entry="")
    with pytest.raises(ValueError, match=r"^users.alice: role must be one of"):
        alice(table("home", statement()), entry='policies = ["home"]\nrole = "root"')


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("s3:GetObject", ARN + "*"),
        ("s3:GetObject", "arn:aws:s3:::photos?a"),
        ("s3:GetObject", "arn:aws:s3:::${aws:username}"),
        ("s3:ListBucket", "arn:aws:s3:::${aws:username}"),
        ("s3:ListAllMyBuckets", "*"),
        ("s3:*", ARN),
    ],
)
def test_a_denial_that_can_deny_something_is_taken(action, resource):
    document = {"Version": "2012-10-17", "Statement": statement(Effect="Deny", Action=action, Resource=resource)}
    assert parse_policy(json.dumps(document), None).statements


def test_a_policy_of_a_bucket_still_names_whom_it_is_about():
    with pytest.raises(S3Error, match="Missing required field Principal"):
        parse_policy(json.dumps({"Statement": statement()}), "photos")
