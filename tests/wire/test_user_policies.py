"""Policies of users over the whole tree: what lists, reveals, reads and writes asks them.

Numbers in names are those of attacks in the project's list.
"""

from dataclasses import replace

import pytest

from tests import forms
from tests.wire.daemon import ALICE, BOB, CLERK, Daemon, parse, texts
from tests.wire.sharing import DENIED, outcome
from tests.wire.test_policies import ASKED, document, put_policy
from zs3.auth.access import WRITER
from zs3.auth.policy import Policy, parse_policy
from zs3.web.context import RequestContext
from zs3.web.express import Express

ARN = "arn:aws:s3:::photos"


@pytest.fixture(params=[None, WRITER], ids=["no ACLs", "ACLs"])
def daemon(tmp_path, request):
    daemon = Daemon(tmp_path, **({} if request.param is None else {"ownership": request.param}))
    yield daemon
    daemon.stop()


@pytest.fixture
def alice(daemon):
    """The administrator of the account that owns the bucket."""
    client = daemon.client(ALICE)
    client.put("/photos")
    for key in ("home/clerk/a", "home/other/a", "b"):
        client.put(f"/photos/{key}", b"content")
    return client


def statement(action, resource=ARN + "/*", effect="Allow", **condition):
    found = {"Effect": effect, "Action": action, "Resource": resource}
    return found | ({"Condition": condition} if condition else {})


def limit(daemon, *statements, user=CLERK):
    """Give a user, of Alice's account, a policy; gives a client that signs as this one."""
    user = replace(user, policy=parse_policy(document(*statements), None) if statements else Policy(()))
    daemon.users._users[user.access_key] = user
    return daemon.client(user)


def listed(response):
    return outcome(response)[1] or texts(parse(response), ".//Bucket/Name")


HOME = (
    statement("s3:*", ARN + "/home/${aws:username}/*"),
    statement("s3:ListBucket", ARN, StringLike={"s3:prefix": "home/${aws:username}/*"}),
)


def test_a_user_has_a_folder_and_no_more(daemon, alice):
    clerk = limit(daemon, *HOME)
    own, other = "/photos/home/clerk/", "/photos/home/other/"
    assert clerk("GET", own + "a").body == b"content"
    assert clerk("PUT", own + "new", body=b"mine").status == 200
    assert clerk("DELETE", own + "new").status == 204
    assert clerk("GET", "/photos", {"list-type": "2", "prefix": "home/clerk/"}).status == 200
    for path in (other + "a", other + "none", "/photos/b", "/photos/none"):
        assert outcome(clerk("GET", path)) == DENIED
        assert clerk("HEAD", path).status == 403
        assert outcome(clerk("PUT", path, body=b"new")) == DENIED
        assert outcome(clerk("DELETE", path)) == DENIED
    for query in ({}, {"list-type": "2"}, {"prefix": "home/"}, {"prefix": "home/other/"}, {"uploads": ""}, {"acl": ""}):
        assert outcome(clerk("GET", "/photos", query)) == DENIED
    assert alice("GET", other + "a").body == alice("GET", "/photos/b").body == b"content"


def test_who_may_not_list_is_not_told_what_is_there(daemon, alice):
    reading = limit(daemon, statement("s3:GetObject"))
    assert outcome(reading("GET", "/photos/none")) == DENIED
    listing = limit(daemon, statement("s3:GetObject"), statement("s3:ListBucket", ARN))
    assert outcome(listing("GET", "/photos/none")) == (404, "NoSuchKey")
    only = limit(daemon, statement("s3:ListBucket", ARN))
    assert outcome(only("GET", "/photos/none")) == outcome(only("GET", "/photos/b")) == DENIED
    folder = limit(daemon, *HOME)
    assert outcome(folder("GET", "/photos/home/clerk/none")) == (404, "NoSuchKey")
    # What is compared would tell too.
    writing = limit(daemon, statement("s3:PutObject"))
    assert outcome(writing("PUT", "/photos/none", headers={"If-Match": "x"}, body=b"")) == DENIED


def test_the_list_of_buckets_is_for_who_may_have_it(daemon, alice):
    assert listed(limit(daemon, *HOME)("GET", "/")) == "AccessDenied"
    assert listed(limit(daemon, statement("s3:ListAllMyBuckets", ARN))("GET", "/")) == "AccessDenied"
    for resource in ("*", "arn:aws:s3:::*"):
        assert listed(limit(daemon, statement("s3:ListAllMyBuckets", resource))("GET", "/")) == ["photos"]
    by_agent = statement("s3:ListAllMyBuckets", "*", StringEquals={"aws:UserAgent": "backup"})
    clerk = limit(daemon, by_agent)
    assert listed(clerk("GET", "/")) == "AccessDenied"
    assert listed(clerk("GET", "/", headers={"User-Agent": "backup"})) == ["photos"]
    both = (statement("s3:*", "*"), statement("s3:ListAllMyBuckets", "*", "Deny"))
    assert listed(limit(daemon, *both)("GET", "/")) == "AccessDenied"
    assert listed(alice("GET", "/")) == ["photos"]


def test_buckets_are_made_where_a_policy_allows_it(daemon, alice):
    clerk = limit(daemon, statement("s3:CreateBucket", "arn:aws:s3:::${aws:username}-*"))
    assert outcome(clerk("PUT", "/music")) == DENIED
    assert clerk("PUT", "/clerk-music").status == 200
    assert outcome(clerk("GET", "/clerk-music")) == DENIED
    assert outcome(clerk("DELETE", "/clerk-music")) == DENIED
    headers = {"x-amz-object-ownership": "ObjectWriter"}
    assert outcome(clerk("PUT", "/clerk-more", headers=headers)) == DENIED
    tags = (
        b"<CreateBucketConfiguration><Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags></CreateBucketConfiguration>"
    )
    assert outcome(clerk("PUT", "/clerk-more", body=tags)) == DENIED
    assert listed(alice("GET", "/")) == ["clerk-music", "photos"]
    more = statement(["s3:CreateBucket", "s3:PutBucketOwnershipControls", "s3:PutBucketTagging"], "*")
    assert limit(daemon, more)("PUT", "/clerk-more", headers=headers, body=tags).status == 200


def test_who_makes_a_bucket_gives_it_an_acl_only_where_a_policy_allows_it(tmp_path):
    daemon = Daemon(tmp_path, ownership=WRITER)
    headers = {"x-amz-object-ownership": "ObjectWriter", "x-amz-acl": "authenticated-read"}
    actions = ["s3:CreateBucket", "s3:PutBucketOwnershipControls"]
    clerk = limit(daemon, statement(actions, "*"))
    assert outcome(clerk("PUT", "/music", headers=headers)) == DENIED
    assert clerk("PUT", "/private", headers=headers | {"x-amz-acl": "private"}).status == 200
    clerk = limit(daemon, statement([*actions, "s3:PutBucketAcl"], "*"))
    assert clerk("PUT", "/music", headers=headers).status == 200
    daemon.stop()


def test_deletes_are_decided_key_by_key(daemon, alice):
    names = "".join(f"<Object><Key>{key}</Key></Object>" for key in ("home/clerk/a", "home/other/a", "b", "none"))
    request = f"<Delete>{names}</Delete>".encode()
    assert outcome(limit(daemon).post_xml("/photos", {"delete": ""}, request)) == DENIED
    response = parse(limit(daemon, *HOME).post_xml("/photos", {"delete": ""}, request))
    assert texts(response, ".//Deleted/Key") == ["home/clerk/a"]
    assert texts(response, ".//Error/Key") == ["home/other/a", "b", "none"]
    assert set(texts(response, ".//Error/Code")) == {"AccessDenied"}
    assert [alice("GET", f"/photos/{key}").status for key in ("home/clerk/a", "home/other/a", "b")] == [404, 200, 200]


def test_20_a_copy_needs_the_right_on_both_sides(daemon, alice):
    def copy(client, target, source):
        return outcome(client("PUT", target, headers={"x-amz-copy-source": source}))

    clerk = limit(daemon, *HOME)
    assert copy(clerk, "/photos/home/clerk/b", "photos/home/clerk/a") == (200, "")
    for source in ("photos/b", "photos/none", "photos/home/other/a"):
        assert copy(clerk, "/photos/home/clerk/c", source) == DENIED
    assert copy(clerk, "/photos/home/other/c", "photos/home/clerk/a") == DENIED
    # Dots are but dots in a key.
    for source in ("photos/home/clerk/none", "photos/home/clerk/../other/a"):
        assert copy(clerk, "/photos/home/clerk/c", source) == (404, "NoSuchKey")
    assert alice("GET", "/photos/home/clerk/c").status == 404


def test_an_upload_in_parts_needs_the_right_for_each_step(daemon, alice):
    clerk = limit(daemon, *HOME)
    upload = parse(clerk("POST", "/photos/home/clerk/big", {"uploads": ""})).findtext("UploadId")
    query = {"uploadId": upload, "partNumber": "1"}
    assert clerk("PUT", "/photos/home/clerk/big", query, body=b"part").status == 200
    reading = limit(daemon, statement("s3:GetObject"))
    target = "/photos/home/clerk/big"
    assert outcome(reading("GET", target, {"uploadId": upload})) == DENIED
    assert outcome(reading("DELETE", target, {"uploadId": upload})) == DENIED
    assert outcome(reading("PUT", target, query, body=b"part")) == DENIED
    copied = {"x-amz-copy-source": "photos/b"}
    assert outcome(limit(daemon, *HOME)("PUT", target, query, headers=copied)) == DENIED
    assert limit(daemon, *HOME)("DELETE", target, {"uploadId": upload}).status == 204


def test_tags_and_acls_of_a_new_object_need_rights_of_their_own(daemon, alice):
    clerk = limit(daemon, statement("s3:PutObject"))
    assert clerk("PUT", "/photos/new", body=b"").status == 200
    assert outcome(clerk("PUT", "/photos/new", headers={"x-amz-tagging": "a=b"}, body=b"")) == DENIED
    assert outcome(clerk("PUT", "/photos/new", headers={"x-amz-acl": "private"}, body=b"")) == DENIED
    more = statement(["s3:PutObject", "s3:PutObjectTagging"], StringEquals={"s3:RequestObjectTag/a": "b"})
    clerk = limit(daemon, more)
    assert clerk("PUT", "/photos/new", headers={"x-amz-tagging": "a=b"}, body=b"").status == 200
    assert outcome(clerk("PUT", "/photos/new", headers={"x-amz-tagging": "a=c"}, body=b"")) == DENIED
    tagging = b"<Tagging><TagSet><Tag><Key>a</Key><Value>%s</Value></Tag></TagSet></Tagging>"
    assert clerk("PUT", "/photos/new", {"tagging": ""}, body=tagging % b"b").status == 200
    assert outcome(clerk("PUT", "/photos/new", {"tagging": ""}, body=tagging % b"c")) == DENIED


def test_tags_of_the_object_can_decide(daemon, alice):
    alice.put("/photos/open", b"content", {"x-amz-tagging": "kind=open"})
    clerk = limit(daemon, statement("s3:GetObject", StringEquals={"s3:ExistingObjectTag/kind": "open"}))
    assert clerk("GET", "/photos/open").body == b"content"
    for path in ("/photos/b", "/photos/none"):
        assert outcome(clerk("GET", path)) == DENIED
    copied = {"x-amz-copy-source": "photos/b"}
    clerk = limit(
        daemon,
        statement("s3:GetObject", StringEquals={"s3:ExistingObjectTag/kind": "open"}),
        statement(["s3:PutObject", "s3:GetObjectTagging", "s3:PutObjectTagging"]),
    )
    assert outcome(clerk("PUT", "/photos/copy", headers=copied)) == DENIED
    assert clerk("PUT", "/photos/copy", headers={"x-amz-copy-source": "photos/open"}).status == 200


def test_19_a_form_gives_no_more_than_the_policies_of_who_signed_it(daemon, alice):
    limit(daemon, *HOME)

    def post(key):
        fields = {"key": key}
        body = forms.form(forms.signed(fields, forms.document(forms.conditions_for(fields, "photos")), CLERK))
        headers = {"Content-Type": forms.CONTENT_TYPE}
        return outcome(daemon.server.connect().request("POST", "/photos", headers, body))

    assert post("home/clerk/form") == (204, "")
    assert post("home/other/form") == DENIED
    limit(daemon, statement("s3:GetObject"))
    assert post("home/clerk/form") == DENIED
    assert alice("GET", "/photos/home/other/form").status == 404


def test_a_url_gives_no_more_than_the_policies_of_who_signed_it(daemon, alice):
    clerk = limit(daemon, *HOME)
    for path, status in (("/photos/home/clerk/a", 200), ("/photos/b", 403)):
        assert (
            daemon.server.connect().request("GET", clerk.presigned("GET", path), {"Host": clerk.host}).status == status
        )


def test_22_nobody_gets_more_by_writing_a_policy(daemon, alice):
    clerk = limit(daemon, statement("s3:*", ARN + "/*"))
    body = document({**statement("s3:*", [ARN, ARN + "/*"]), "Principal": {"AWS": "arn:aws:iam::alice:user/clerk"}})
    assert outcome(clerk("PUT", "/photos", {"policy": ""}, body=body.encode())) == DENIED
    for query in ({"publicAccessBlock": ""}, {"ownershipControls": ""}, {"cors": ""}, {"tagging": ""}):
        assert outcome(clerk("DELETE", "/photos", query)) == DENIED


def test_a_bucket_policy_and_the_policies_of_the_user(daemon, alice):
    user = {"AWS": "arn:aws:iam::alice:user/clerk"}
    put_policy(alice, {**statement("s3:GetObject"), "Principal": user})
    assert limit(daemon)("GET", "/photos/b").status == 200
    assert outcome(limit(daemon)("PUT", "/photos/b", body=b"")) == DENIED
    assert outcome(limit(daemon, statement("s3:*", "*", "Deny"))("GET", "/photos/b")) == DENIED
    put_policy(alice, {**statement("s3:GetObject"), "Principal": {"AWS": "alice"}})
    assert outcome(limit(daemon)("GET", "/photos/b")) == DENIED
    put_policy(alice, {**statement("s3:*", effect="Deny"), "Principal": user})
    assert outcome(limit(daemon, statement("s3:*", "*"))("GET", "/photos/b")) == DENIED


def test_across_accounts_both_must_allow(daemon, alice):
    def bob(*statements):
        return outcome(limit(daemon, *statements, user=BOB)("GET", "/photos/b"))

    assert bob(statement("s3:*", "*")) == DENIED
    put_policy(alice, {**statement("s3:GetObject"), "Principal": {"AWS": "bob"}})
    assert bob(statement("s3:*", "*")) == (200, "")
    assert bob() == bob(statement("s3:GetObject", "arn:aws:s3:::other/*")) == DENIED
    assert outcome(daemon.client(BOB)("GET", "/photos/b")) == DENIED, "it is the user of now who is asked"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_short_cut_decides_as_the_ordinary_way(daemon, alice, monkeypatch, method):
    alice.put("/photos/key", b"content", {"x-amz-tagging": "a=b"})
    guard = daemon.server.site.resource
    express, find = guard._express, RequestContext._find
    found = {express: set(), None: set()}

    def noting(self, key):
        value = find(self, key)
        found[guard._express].add((key, value))
        return value

    monkeypatch.setattr(RequestContext, "_find", noting)
    served = []
    monkeypatch.setattr(Express, "serve", lambda *args, serve=Express.serve: served.append(serve(*args)) or served[-1])
    of_buckets = (None, {"AWS": "alice"}, {"AWS": "arn:aws:iam::alice:user/clerk"})
    cases = [([statement("s3:GetObject", Null={key: "true"})], None) for key in ASKED]
    cases += [([statement("s3:GetObject", effect=effect)], who) for effect in ("Allow", "Deny") for who in of_buckets]
    cases += [([], who) for who in of_buckets]
    cases += [([statement(["s3:GetObject", "s3:GetObjectTagging"])], None)]
    cases += [([statement("s3:GetObject", StringEquals={"s3:ExistingObjectTag/a": tag})], None) for tag in "bc"]
    told = set()
    for statements, who in cases:
        alice("DELETE", "/photos", {"policy": ""})
        if who is not None:
            put_policy(alice, {**statement("s3:GetObject"), "Principal": who})
        client, answers = limit(daemon, *statements), []
        target, headers = client.signed(method, "/photos/key", None, {"User-Agent": "curl", "If-Match": "*"})
        for guard._express in (None, express):
            response = client.connection.request(method, target, headers)
            fields = {name: value for name, value in response.headers.items() if name != "x-amz-request-id"}
            answers.append((outcome(response), fields, response.body if response.status == 200 else b""))
        assert answers[0] == answers[1]
        assert served.pop() is (response.status == 200)
        told.add((response.status, "x-amz-tagging-count" in response.headers))
    assert told == {(200, True), (200, False), (403, False)}
    assert found[express] == found[None]


def test_the_log_says_which_statement_decided(tmp_path):
    records = []

    class Log:
        def record(self, log, **_):
            records.append(log.reason)

    daemon = Daemon(tmp_path, access_log=Log())
    alice = daemon.client(ALICE)
    alice.put("/photos")
    limit(daemon, statement("s3:*", "*", "Deny"))("GET", "/photos/b")
    limit(daemon)("GET", "/photos/b")
    daemon.stop()
    assert records[-2:] == ["a policy of the user denies it: statement 1", "no policy of the user allows it"]
