"""The evaluation of who may do what: a table of what S3 documents, and laws that hold whatever the case."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs3.auth import access, accounts
from zs3.auth.access import (
    BLOCKS,
    ENFORCED,
    IGNORE_ACLS,
    LIST_VERSIONS,
    OBJECT_ACTIONS,
    OWNERSHIPS,
    PREFERRED,
    WRITER,
    BucketAccess,
    Principal,
    bucket_access,
    evaluate,
    is_possible,
    object_acl,
    object_record,
    on_version,
    untouched,
)
from zs3.auth.acl import (
    ALL_USERS,
    AUTHENTICATED_USERS,
    FULL_CONTROL,
    GROUPS,
    LOG_DELIVERY,
    PERMISSIONS,
    READ,
    READ_ACP,
    WRITE,
    WRITE_ACP,
    Acl,
    Grant,
    private,
    read_acl,
)
from zs3.auth.policy import Policy, parse_policy
from zs3.auth.policy_names import is_action
from zs3.auth.users import User


def user(account: str, role: str = "writer", buckets: frozenset[str] | None = None) -> Principal:
    return Principal(User(account.upper(), "secret-key", role, buckets, account, account))


OWNER, OTHER, THIRD, NOBODY = user("owner"), user("other"), user("third"), Principal()
EVERYONE = (OWNER, OTHER, THIRD, NOBODY)

LIST, GET, PUT, DELETE = "s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"
GET_ACL, PUT_ACL = "s3:GetObjectAcl", "s3:PutObjectAcl"
GET_BUCKET_ACL, PUT_BUCKET_ACL = "s3:GetBucketAcl", "s3:PutBucketAcl"
ON_BUCKET = frozenset((LIST, PUT, DELETE, GET_BUCKET_ACL, PUT_BUCKET_ACL))
ON_OBJECT = frozenset((GET, GET_ACL, PUT_ACL))
#: That no permission gives.
FOR_OWNERS = frozenset(("s3:DeleteBucket", "s3:PutBucketPublicAccessBlock", "s3:GetObjectTagging"))


def bucket(*grants: Grant, ownership: str = WRITER, block: frozenset[str] | None = None) -> BucketAccess:
    return BucketAccess(Acl("owner", grants), ownership, True, block)


def may(who: Principal, access: BucketAccess, record: str = "") -> set[str]:
    """What somebody may do of all there is."""
    return {each for each in ON_BUCKET | ON_OBJECT | FOR_OWNERS if evaluate(who, each, "b", access, record).allowed}


# What is documented ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ownership", OWNERSHIPS)
def test_what_nobody_shared_is_the_owners_alone(ownership):
    access = bucket(Grant("owner", FULL_CONTROL), ownership=ownership)
    assert may(OWNER, access) == ON_BUCKET | ON_OBJECT | FOR_OWNERS
    for who in (OTHER, NOBODY):
        assert may(who, access) == set()


def test_the_owner_needs_no_grant():
    assert may(OWNER, bucket()) == ON_BUCKET | ON_OBJECT | FOR_OWNERS


@pytest.mark.parametrize(
    ("permission", "on_bucket", "on_object"),
    [
        (READ, {LIST}, {GET}),
        (WRITE, {PUT, DELETE}, set()),
        (READ_ACP, {GET_BUCKET_ACL}, {GET_ACL}),
        (WRITE_ACP, {PUT_BUCKET_ACL}, {PUT_ACL}),
        (FULL_CONTROL, ON_BUCKET, ON_OBJECT),
    ],
)
@pytest.mark.parametrize(
    ("grantee", "who", "who_not"),
    [
        ("other", {OTHER}, {THIRD, NOBODY}),
        (AUTHENTICATED_USERS, {OTHER, THIRD}, {NOBODY}),
        (ALL_USERS, {OTHER, THIRD, NOBODY}, set()),
        (LOG_DELIVERY, set(), {OTHER, THIRD, NOBODY}),
        (accounts.ANONYMOUS, {NOBODY}, {OTHER, THIRD}),
    ],
)
def test_a_permission_gives_on_a_bucket_and_on_an_object_what_the_table_says(
    permission, on_bucket, on_object, grantee, who, who_not
):
    grant = Grant(grantee, permission)
    record = Acl("owner", (grant,)).text
    for each in who:
        assert may(each, bucket(grant)) == on_bucket, "the bucket's ACL says nothing of its objects"
        assert may(each, bucket(), record) == on_object
    for each in who_not:
        assert may(each, bucket(grant), record) == set()


@pytest.mark.parametrize("ownership", [WRITER, PREFERRED])
def test_an_object_of_another_account_is_that_accounts(ownership):
    access, record = bucket(ownership=ownership), private("other").text
    assert may(OTHER, access, record) == {GET, GET_ACL, PUT_ACL, "s3:GetObjectTagging"}
    # The bucket's owner may do away with it, and see and read it only if its owner lets them.
    # Of its tags the bucket's owner may take care.
    assert may(OWNER, access, record) == ON_BUCKET | FOR_OWNERS
    shared = Acl("other", (Grant("other", FULL_CONTROL), Grant("owner", READ))).text
    assert may(OWNER, access, shared) & ON_OBJECT == {GET}


def test_where_acls_are_disabled_all_is_the_bucket_owners_whatever_is_recorded():
    access = bucket(Grant(ALL_USERS, FULL_CONTROL), ownership=ENFORCED)
    record = Acl("other", (Grant(ALL_USERS, FULL_CONTROL),)).text
    assert may(OWNER, access, record) == ON_BUCKET | ON_OBJECT | FOR_OWNERS
    assert may(OTHER, access, record) == may(NOBODY, access, record) == set()


def test_what_nobody_signed_for_owns_nothing():
    """An object that an unsigned request made is no licence for every unsigned request."""
    record = Acl(accounts.ANONYMOUS, ()).text
    assert may(NOBODY, bucket(), record) == set()
    assert may(NOBODY, bucket(), private(accounts.ANONYMOUS).text) == ON_OBJECT, "but for what it was granted"


def test_ignoring_public_acls_takes_the_groups_away_and_leaves_the_accounts():
    access = bucket(Grant(ALL_USERS, READ), Grant("other", READ), block=frozenset((IGNORE_ACLS,)))
    assert may(NOBODY, access) == may(THIRD, access) == set()
    assert may(OTHER, access) == {LIST}


def test_a_role_or_a_list_of_buckets_limits_a_user_everywhere():
    reader, elsewhere = user("owner", "reader"), user("owner", buckets=frozenset(("other",)))
    assert may(reader, bucket()) == {each for each in ON_BUCKET | ON_OBJECT | FOR_OWNERS if not access.is_write(each)}
    assert may(elsewhere, bucket(Grant(ALL_USERS, FULL_CONTROL))) == set()
    assert may(user("other", "reader"), bucket(Grant(ALL_USERS, WRITE))) == set()


def test_a_version_is_read_and_shared_as_its_object_is():
    for grant in (Grant("other", permission) for permission in (READ, READ_ACP, WRITE_ACP)):
        record = Acl("owner", (grant,)).text
        for action in (GET, GET_ACL, PUT_ACL, "s3:GetObjectTagging", "s3:GetObjectAttributes"):
            assert on_version(action) != action
            assert is_action(on_version(action))
            for who in (OWNER, OTHER):
                decisions = (evaluate(who, each, "b", bucket(), record) for each in (action, on_version(action)))
                assert len({decision.allowed for decision in decisions}) == 1
    for action in (PUT, LIST, LIST_VERSIONS, "s3:GetObjectRetention"):
        assert on_version(action) == action


def test_only_the_owner_of_a_bucket_may_remove_a_version_whoever_may_write():
    access = bucket(Grant("other", FULL_CONTROL))
    assert evaluate(OTHER, DELETE, "b", access).allowed
    assert not evaluate(OTHER, on_version(DELETE), "b", access).allowed
    assert evaluate(OWNER, on_version(DELETE), "b", access).allowed


@pytest.mark.parametrize("action", ["s3:CreateBucket", "s3:ListAllMyBuckets"])
def test_every_user_and_nobody_else_may_make_and_list_buckets(action):
    for who in EVERYONE:
        own = BucketAccess(private(who.account), WRITER)
        assert evaluate(who, action, "", own).allowed == (who is not NOBODY)


# Laws -----------------------------------------------------------------------------------------------------------------

names = st.sampled_from(["owner", "other", "third", accounts.ANONYMOUS, *sorted(GROUPS)])
grants = st.builds(Grant, names, st.sampled_from(PERMISSIONS))
acls = st.builds(Acl, st.sampled_from(["owner", "other"]), st.lists(grants, max_size=4).map(tuple))
blocks = st.none() | st.frozensets(st.sampled_from(BLOCKS))
buckets = st.builds(BucketAccess, acls, st.sampled_from(OWNERSHIPS), st.booleans(), blocks)
records = st.just("") | acls.map(lambda acl: acl.text)
principals = st.sampled_from(EVERYONE)


def wider(acl: Acl, grant: Grant) -> Acl:
    return replace(acl, grants=(*acl.grants, grant))


@given(principals, buckets, acls, grants)
def test_adding_a_grant_never_narrows(who, access, acl, grant):
    assert may(who, access, acl.text) <= may(who, access, wider(acl, grant).text)
    assert may(who, access, acl.text) <= may(who, replace(access, acl=wider(access.acl, grant)), acl.text)


@given(principals, buckets, records, st.randoms())
def test_the_order_of_grants_means_nothing(who, access, record, random):
    shuffled = list(access.acl.grants)
    random.shuffle(shuffled)
    assert may(who, access, record) == may(
        who, replace(access, acl=replace(access.acl, grants=tuple(shuffled))), record
    )


@given(principals, buckets, records, st.sampled_from(BLOCKS))
def test_blocking_public_access_never_widens(who, access, record, what):
    blocked = replace(access, block=(access.block or frozenset()) | {what})
    assert may(who, blocked, record) <= may(who, access, record)


@given(principals, buckets, records)
def test_disabling_acls_gives_nobody_but_the_owner_of_the_bucket_anything(who, access, record):
    disabled = replace(access, ownership=ENFORCED)
    if who.account != access.owner:
        assert may(who, disabled, record) == set()


@given(buckets, records)
def test_nobody_may_do_what_not_every_user_may(access, record):
    granted_to_nobody = accounts.ANONYMOUS in (access.acl.text + record)
    if not granted_to_nobody:
        assert may(NOBODY, access, record) <= may(THIRD, access, record)


@given(principals, st.text(max_size=8), buckets, st.text(max_size=20))
def test_it_is_total_and_gives_a_reason(who, action, access, record):
    decision = evaluate(who, action, "b", access, record)
    assert isinstance(decision.allowed, bool)
    assert decision.reason


@given(principals, st.sampled_from(sorted(OBJECT_ACTIONS)), buckets, records)
def test_it_is_known_when_the_object_must_be_looked_at(who, action, access, record):
    if not needs_object(action, access):
        assert evaluate(who, action, "b", access) == evaluate(who, action, "b", access, record)


def needs_object(action: str, bucket: BucketAccess, who: Principal = NOBODY) -> bool:
    return access.depends_on_object(who, action, bucket)


# Policies -------------------------------------------------------------------------------------------------------------


def statement(effect: str, principal: object = "*", action: object = "s3:*", **more: object) -> dict[str, object]:
    return {"Effect": effect, "Principal": principal, "Action": action, "Resource": "*", **more}


def with_policy(access: BucketAccess, *statements: dict[str, object]) -> BucketAccess:
    return replace(access, policy=parse_policy(json.dumps({"Statement": statements}), "b"))


@given(principals, buckets, records, st.sampled_from(["*", {"AWS": "owner"}, {"AWS": "other"}]))
def test_a_denial_never_widens(who, access, record, principal):
    for others in ([statement("Allow")], [statement("Allow", {"AWS": "third"})]):
        denied = with_policy(access, *others, statement("Deny", principal, ["s3:Get*", "s3:List*"]))
        assert may(who, denied, record) <= may(who, with_policy(access, *others), record)


@given(principals, buckets, records)
def test_what_a_policy_allows_is_of_the_owner_of_the_bucket(who, access, record):
    unrestricted = replace(access, block=None)
    more = may(who, with_policy(unrestricted, statement("Allow")), record) - may(who, unrestricted, record)
    if object_acl(access, record).owner != access.owner and access.has_acls:
        assert not more & OBJECT_ACTIONS
    else:
        assert may(who, with_policy(unrestricted, statement("Allow")), record) == ON_BUCKET | ON_OBJECT | FOR_OWNERS


@given(buckets, records, st.sampled_from(BLOCKS))
def test_a_restricted_bucket_with_a_public_policy_is_for_its_account_alone(access, record, what):
    restricted = with_policy(replace(access, block=frozenset((what,))), statement("Allow"))
    for who in (OTHER, THIRD, NOBODY):
        if who.account != access.owner and what == "RestrictPublicBuckets":
            assert may(who, restricted, record) == set()


@pytest.mark.parametrize("role", ["admin", "writer"])
def test_only_an_administrator_of_the_owner_can_undo_whatever_a_policy_did(role):
    denied = with_policy(bucket(), statement("Deny", action="*"))
    for account in ("owner", "other"):
        for action in ("s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"):
            decision = evaluate(user(account, role), action, "b", denied)
            assert decision.allowed == ((account, role) == ("owner", "admin"))
    assert not evaluate(user("owner", "admin"), "s3:DeleteBucket", "b", denied).allowed


def test_a_policy_about_tags_needs_the_object():
    tags = {"StringEquals": {"s3:ExistingObjectTag/a": "b"}}
    access = with_policy(bucket(ownership=ENFORCED), statement("Allow", action="s3:GetObject", Condition=tags))
    assert needs_object(GET, access)
    assert not needs_object(GET_ACL, access)
    assert not needs_object(PUT, access)


def test_a_bucket_with_a_policy_that_is_not_named_is_closed():
    configuration = {"access": "owner READ:@AllUsers", "policy": json.dumps({"Statement": [statement("Allow")]})}
    assert may(NOBODY, bucket_access(configuration, WRITER, "b"))
    for who in EVERYONE:
        assert may(who, bucket_access(configuration, WRITER)) == set()


# Policies of users ----------------------------------------------------------------------------------------------------


def mine(*statements: dict[str, object]) -> Policy:
    """A policy of a user."""
    plain = [{name: value for name, value in each.items() if name != "Principal"} for each in statements]
    return parse_policy(json.dumps({"Version": "2012-10-17", "Statement": plain}), None)


def limited(who: Principal, *statements: dict[str, object]) -> Principal:
    """Somebody, with a policy."""
    assert who.user is not None
    return Principal(replace(who.user, policy=mine(*statements) if statements else Policy(())))


ALLOW, DENY = statement("Allow"), statement("Deny")
USER_ARN, ACCOUNT_ARN = "arn:aws:iam::owner:user/owner", "arn:aws:iam::owner:root"
ID_OF_OWNER = {"CanonicalUser": accounts.canonical_id("owner")}


@pytest.mark.parametrize(
    ("who", "of_user", "of_bucket", "allowed"),
    [
        # Within the account: the one or the other.
        (OWNER, [], [], False),
        (OWNER, [ALLOW], [], True),
        (OWNER, [], [statement("Allow", {"AWS": USER_ARN})], True),
        (OWNER, [], [statement("Allow", {"AWS": [ACCOUNT_ARN, USER_ARN]})], True),
        (OWNER, [], [ALLOW], True),
        # To name the account is to leave it to the account.
        (OWNER, [], [statement("Allow", {"AWS": ACCOUNT_ARN})], False),
        (OWNER, [], [statement("Allow", ID_OF_OWNER)], False),
        (OWNER, [ALLOW], [statement("Allow", {"AWS": ACCOUNT_ARN})], True),
        # Across accounts: both.
        (OTHER, [], [], False),
        (OTHER, [ALLOW], [], False),
        (OTHER, [], [statement("Allow", {"AWS": "other"})], False),
        (OTHER, [], [ALLOW], False),
        (OTHER, [ALLOW], [statement("Allow", {"AWS": "other"})], True),
        (OTHER, [ALLOW], [statement("Allow", {"AWS": "third"})], False),
        # A denial wins, whosever it is.
        (OWNER, [ALLOW, DENY], [ALLOW], False),
        (OWNER, [DENY, ALLOW], [ALLOW], False),
        (OWNER, [ALLOW], [DENY], False),
        (OWNER, [ALLOW], [statement("Deny", {"AWS": ACCOUNT_ARN})], False),
        (OWNER, [ALLOW], [statement("Deny", {"AWS": USER_ARN})], False),
        (OTHER, [DENY], [ALLOW], False),
        (OTHER, [ALLOW], [ALLOW, DENY], False),
    ],
)
def test_policies_of_the_user_and_of_the_bucket(who, of_user, of_bucket, allowed):
    access = with_policy(bucket(ownership=ENFORCED), *of_bucket) if of_bucket else bucket(ownership=ENFORCED)
    everything = ON_BUCKET | ON_OBJECT | FOR_OWNERS
    assert may(limited(who, *of_user), access) == (everything if allowed else set())


def test_what_an_acl_gives_to_another_account_is_given_on_by_its_policies():
    access, record = bucket(Grant("other", FULL_CONTROL)), Acl("owner", (Grant(ALL_USERS, READ),)).text
    assert may(OTHER, access, record) == ON_BUCKET | {GET}
    assert may(limited(OTHER), access, record) == set()
    assert may(limited(OTHER, statement("Allow", action=[LIST, GET, GET_ACL])), access, record) == {LIST, GET}
    assert may(limited(OWNER), access, record) == set(), "ACLs give nothing within the account"


def test_an_administrator_with_policies_cannot_undo_whatever_a_policy_did():
    denied = with_policy(bucket(), DENY)
    root = user("owner", "admin")
    assert evaluate(root, "s3:PutBucketPolicy", "b", denied).allowed
    assert not evaluate(limited(root, ALLOW), "s3:PutBucketPolicy", "b", denied).allowed


def test_a_restricted_public_bucket_is_not_for_other_accounts_whatever_their_policies_allow():
    access = with_policy(bucket(block=frozenset(("RestrictPublicBuckets",))), ALLOW)
    assert may(limited(OTHER, ALLOW), access) == set()
    assert may(limited(OWNER), access) == ON_BUCKET | ON_OBJECT | FOR_OWNERS


def test_a_policy_of_the_user_about_tags_needs_the_object():
    tags = {"StringEquals": {"s3:ExistingObjectTag/a": "b"}}
    who = limited(OWNER, statement("Allow", action="s3:GetObject", Condition=tags))
    access = bucket(ownership=ENFORCED)
    assert needs_object(GET, access, who)
    assert not needs_object(PUT, access, who)
    assert not needs_object(GET, access, OWNER)


@pytest.mark.parametrize(
    ("who", "of_user", "of_bucket", "possible"),
    [
        (OWNER, [], [], False),
        (OWNER, [statement("Allow", action=DELETE)], [], True),
        (OWNER, [statement("Allow", action=PUT)], [], False),
        (OWNER, [], [statement("Allow", {"AWS": USER_ARN})], True),
        (OWNER, [], [statement("Allow", {"AWS": ACCOUNT_ARN})], False),
        (OTHER, [ALLOW], [], False),
        (OTHER, [], [ALLOW], False),
        (OTHER, [ALLOW], [ALLOW], True),
    ],
)
def test_what_can_be_allowed_for_one_object(who, of_user, of_bucket, possible):
    access = with_policy(bucket(), *of_bucket) if of_bucket else bucket()
    assert is_possible(limited(who, *of_user), DELETE, "b", access) is possible


one_statement = st.builds(
    lambda effect, actions, resource: statement(effect, action=actions, Resource=resource),
    st.sampled_from(["Allow", "Deny"]),
    st.lists(st.sampled_from(["s3:*", "s3:Get*", "s3:*Object*", LIST, GET, PUT]), min_size=1, max_size=3),
    st.sampled_from(
        ["*", "arn:aws:s3:::*", ["arn:aws:s3:::b", "arn:aws:s3:::b/*"], ["arn:aws:s3:::c*", "arn:aws:s3:::b*"]]
    ),
)
of_user = st.lists(one_statement, max_size=4)
signers = st.sampled_from([OWNER, OTHER, user("owner", "reader"), user("owner", "writer", frozenset(("c",)))])
of_buckets = st.none() | st.sampled_from(["*", {"AWS": "owner"}, {"AWS": "other"}, {"AWS": USER_ARN}])


def perhaps_with_policy(access: BucketAccess, principal: object) -> BucketAccess:
    return access if principal is None else with_policy(access, statement("Allow", principal, ["s3:Get*", "s3:Put*"]))


@given(signers, buckets, records, of_buckets, of_user)
def test_a_denial_of_a_user_never_widens(who, access, record, principal, statements):
    access = perhaps_with_policy(access, principal)
    narrow = may(limited(who, *statements, statement("Deny", action="s3:Get*")), access, record)
    assert narrow <= may(limited(who, *statements), access, record)
    assert not any(action.startswith("s3:Get") for action in narrow)


@given(signers, buckets, records, of_buckets, of_user)
def test_policies_never_give_what_the_account_and_the_role_do_not_have(who, access, record, principal, statements):
    access = perhaps_with_policy(access, principal)
    assert may(limited(who, *statements), access, record) <= may(who, access, record)


@given(signers, buckets, records, of_buckets)
def test_a_policy_that_allows_all_is_as_none(who, access, record, principal):
    access = perhaps_with_policy(access, principal)
    assert may(limited(who, ALLOW), access, record) == may(who, access, record)


@given(signers, buckets, records, of_buckets, of_user, st.randoms(use_true_random=False))
def test_the_order_of_statements_never_matters(who, access, record, principal, statements, random):
    access = perhaps_with_policy(access, principal)
    shuffled = random.sample(statements, len(statements))
    assert may(limited(who, *statements), access, record) == may(limited(who, *shuffled), access, record)


# What is kept ---------------------------------------------------------------------------------------------------------


@given(acls)
def test_a_list_is_read_as_it_was_written(acl):
    assert read_acl(acl.text) == acl


@given(buckets.filter(lambda access: access.has_acls), acls)
def test_an_object_has_the_acl_that_was_recorded(access, acl):
    assert object_acl(access, object_record(access, acl)) == acl


def test_the_ordinary_needs_no_record():
    assert object_record(bucket(), private("owner")) == ""
    assert object_record(bucket(), private("other")) == "other FULL_CONTROL:other"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        " READ:@AllUsers",
        "owner READ:",
        "owner :@AllUsers",
        "owner ALL:other",
        "owner  READ:other",
        "owner READ",
    ],
)
def test_a_list_that_cannot_be_read_gives_nobody_anything(text):
    assert may(NOBODY, bucket(), text or " ") == may(OTHER, bucket(), text or " ") == set()
    assert may(OWNER, bucket(), text or " ") & ON_OBJECT == set()
    damaged = bucket_access({"access": text}, WRITER)
    assert all(may(who, damaged) == set() for who in EVERYONE)


def test_a_bucket_without_a_record_is_the_default_accounts():
    default = user(accounts.DEFAULT)
    for ownership in OWNERSHIPS:
        access = bucket_access({"tags": {"a": "b"}}, ownership)
        assert access is untouched(ownership)
        assert may(default, access) == ON_BUCKET | ON_OBJECT | FOR_OWNERS
        assert (access.ownership, access.controls) == (ownership, False)
    assert untouched(ENFORCED).block == frozenset(BLOCKS), "as on AWS"
    assert untouched(WRITER).block is None, "or a public ACL would mean nothing"


def test_what_is_configured_counts():
    configured = {"access": "other READ:@AllUsers", "ownership": PREFERRED, "publicAccessBlock": [IGNORE_ACLS]}
    assert bucket_access(configured, ENFORCED) == BucketAccess(
        Acl("other", (Grant(ALL_USERS, READ),)), PREFERRED, True, frozenset((IGNORE_ACLS,))
    )
    assert bucket_access({"publicAccessBlock": None}, ENFORCED).block is None
    assert bucket_access({"publicAccessBlock": []}, WRITER).block == frozenset()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("access", "ownership", "publicAccessBlock"), json_values)),
    st.sampled_from(OWNERSHIPS),
)
def test_a_configuration_that_makes_no_sense_opens_nothing(configuration, ownership):
    access = bucket_access(configuration, ownership)
    for who in (OTHER, NOBODY):
        assert may(who, access) == set()
    if "ownership" in configuration:
        assert access.ownership == ENFORCED


# Accounts -------------------------------------------------------------------------------------------------------------


def test_accounts_have_ids_as_s3_has_them():
    ids = {accounts.canonical_id(name) for name in ("a", "b", accounts.DEFAULT)}
    assert all(len(each) == 64 and set(each) <= set("0123456789abcdef") for each in ids)
    assert len(ids) == 3
    assert accounts.canonical_id("a") == accounts.canonical_id("a")


@pytest.mark.parametrize("name", ["", "@all", accounts.ANONYMOUS, "a b", "a:b", "a" * 65, "ä", "a\n"])
def test_no_account_is_called_as_something_else(name):
    assert not accounts.is_account_name(name)
