"""ACLs that are put: the one that says what is the case anyway, and all others."""

import pytest

from tests.wire.daemon import OWNER_ID

POLICY = (
    '<AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>{owner}</ID></Owner>'
    "<AccessControlList>{grants}</AccessControlList></AccessControlPolicy>"
)
GRANT = (
    '<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">'
    "<ID>{who}</ID><DisplayName>x</DisplayName></Grantee><Permission>{permission}</Permission></Grant>"
)
OWNER = GRANT.format(who=OWNER_ID, permission="FULL_CONTROL")
EVERYBODY = (
    '<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group">'
    "<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission></Grant>"
)


def policy(*grants):
    return POLICY.format(owner=OWNER_ID, grants="".join(grants)).encode()


@pytest.fixture(params=["", "/key"], ids=["bucket", "object"])
def path(request, client, bucket):
    if request.param:
        client.put(bucket + request.param, b"x")
    return bucket + request.param


def test_the_acl_that_was_read_can_be_put(client, path):
    acl = client("GET", path, {"acl": ""}).body
    assert client("PUT", path, {"acl": ""}, body=acl).status == 200
    assert client("PUT", path, {"acl": ""}, body=policy(OWNER)).status == 200


@pytest.mark.parametrize(
    "grants",
    [
        (OWNER, EVERYBODY),
        (EVERYBODY,),
        (),
        (GRANT.format(who="0" * 64, permission="FULL_CONTROL"),),
        (GRANT.format(who=OWNER_ID, permission="READ"),),
    ],
)
def test_an_acl_that_says_anything_else_is_refused(client, path, grants):
    response = client("PUT", path, {"acl": ""}, body=policy(*grants))
    assert (response.status, response.error_code) == (400, "AccessControlListNotSupported")


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (b"<AccessControlPolicy", "MalformedXML"),
        (b"<Other/>", "MalformedXML"),
        (policy("<Other/>"), "MalformedXML"),
        (policy("<Grant><Permission>READ</Permission></Grant>"), "MalformedACLError"),
        (policy(OWNER.replace("<Permission>FULL_CONTROL</Permission>", "")), "MalformedACLError"),
    ],
)
def test_an_acl_that_is_none_is_malformed(client, path, document, code):
    response = client("PUT", path, {"acl": ""}, body=document)
    assert (response.status, response.error_code) == (400, code)


def test_a_canned_acl_may_say_private_and_nothing_else(client, path):
    assert client("PUT", path, {"acl": ""}, {"x-amz-acl": "private"}).status == 200
    response = client("PUT", path, {"acl": ""}, {"x-amz-acl": "public-read"})
    assert (response.status, response.error_code) == (400, "AccessControlListNotSupported")
    response = client("PUT", path, {"acl": ""}, {"x-amz-acl": "private"}, policy(OWNER, EVERYBODY))
    assert (response.status, response.error_code) == (400, "UnexpectedContent")


def test_an_acl_of_what_is_not_there_is_not_put(client, bucket):
    response = client("PUT", bucket + "/absent", {"acl": ""}, body=policy(OWNER))
    assert (response.status, response.error_code) == (404, "NoSuchKey")


def test_names_of_amazon_headers_are_sent_in_lower_case(client, bucket):
    client.put(bucket + "/key", b"x", {"x-amz-meta-colour": "red"})
    names = [name for name, _ in client("HEAD", bucket + "/key").pairs]
    assert "x-amz-meta-colour" in names
    assert "x-amz-request-id" in names
    assert [name for name in names if name.startswith("X-Amz")] == []
