"""The public access block of an account, over the whole tree."""

import time

import pytest

from tests.wire.daemon import ADMIN, ALICE, CLERK, Daemon, parse
from tests.wire.sharing import DENIED, outcome
from zs3.auth import access, accounts
from zs3.auth.access import BLOCKS, ENFORCED, WRITER
from zs3.auth.policy import parse_policy
from zs3.auth.users import User
from zs3.store import accounts as stored
from zs3.web.express import Express

PATH = "/v20180820/configuration/publicAccessBlock"
ALICE_ID, BOB_ID = accounts.account_id("alice"), accounts.account_id("bob")
PUBLIC_READ = {"x-amz-acl": "public-read"}
PUBLIC_POLICY = (
    b'{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",'
    b' "Resource": "arn:aws:s3:::photos/*"}]}'
)


@pytest.fixture
def daemon(tmp_path):
    daemon = Daemon(tmp_path, ownership=WRITER)
    yield daemon
    daemon.stop()


@pytest.fixture
def bucket(alice):
    """Alice's, private."""
    alice.put("/photos")
    return "/photos"


@pytest.fixture(params=["remembered", "just changed"])
def age(request, monkeypatch):
    """Whether what is configured is old enough to be remembered."""
    if request.param == "remembered":
        now = time.time_ns
        monkeypatch.setattr(stored.time, "time_ns", lambda: now() + 2 * 10**9)


def await_next_tick(daemon):
    """Until what changes has another time: what is remembered is known by that."""
    path = daemon.data / ".zs3" / "tick"
    path.touch()
    before = path.stat().st_ctime_ns
    while path.stat().st_ctime_ns == before:
        path.touch()


def control(client, method, account_id=ALICE_ID, body=None, **headers):
    if method != "GET":
        await_next_tick(client.daemon)
    return client(method, PATH, headers={"x-amz-account-id": account_id, **headers}, body=body)


def block(client, *names, account_id=ALICE_ID):
    inner = "".join(f"<{name}>true</{name}>" for name in names)
    namespace = "http://awss3control.amazonaws.com/doc/2018-08-20/"
    document = f'<PublicAccessBlockConfiguration xmlns="{namespace}">{inner}</PublicAccessBlockConfiguration>'
    return control(client, "PUT", account_id, document.encode())


def blocked(client, account_id=ALICE_ID):
    response = control(client, "GET", account_id)
    if response.status != 200:
        return response.element("Code")
    return [each.tag for each in parse(response) if each.text == "true"]


def of_bucket(client, bucket):
    response = client("GET", bucket, {"publicAccessBlock": ""})
    return response.error_code or [each.tag for each in parse(response) if each.text == "true"]


def told(response):
    return response.status, response.element("Code")


# The operations -------------------------------------------------------------------------------------------------------


def test_an_account_has_the_block_that_was_put(alice):
    assert blocked(alice) == "NoSuchPublicAccessBlockConfiguration"
    for names in (["BlockPublicAcls", "BlockPublicPolicy"], [], list(BLOCKS)):
        assert block(alice, *names).status == 200
        assert blocked(alice) == names
    for _ in range(2):
        response = control(alice, "DELETE")
        assert (response.status, response.body) == (200, b"")
        assert blocked(alice) == "NoSuchPublicAccessBlockConfiguration"
    assert told(block(alice, "Other")) == (400, "MalformedXML")


def test_an_error_is_told_as_sdks_expect_it_of_this_api(alice, nobody):
    response = control(alice, "GET")
    assert response.status == 404
    root = parse(response)
    assert root.tag == "ErrorResponse"
    assert root.findtext("Error/Code") == "NoSuchPublicAccessBlockConfiguration"
    assert root.findtext("Error/AccountId") == ALICE_ID
    assert root.findtext("RequestId") == response.headers["x-amz-request-id"]
    target, headers = alice.signed("GET", PATH, headers={"x-amz-account-id": ALICE_ID})
    headers["Authorization"] = headers["Authorization"][:-1] + "g"
    assert parse(nobody.connection.request("GET", target, headers)).tag == "ErrorResponse"


def test_an_account_s_block_is_not_told_as_a_bucket_s(alice, bucket):
    assert block(alice, *BLOCKS).status == 200
    assert of_bucket(alice, bucket) == "NoSuchPublicAccessBlockConfiguration"


def test_only_who_governs_the_account_sees_or_changes_its_block(daemon, alice, bob, nobody):
    assert block(alice, "BlockPublicAcls").status == 200
    root = daemon.client(ADMIN)
    daemon.users._users["FEWKEY"] = few = User("FEWKEY", "few-secret", "admin", frozenset({"photos"}), "few", "alice")
    for client in (daemon.client(CLERK), bob, nobody, root, daemon.client(few)):
        for method in ("GET", "PUT", "DELETE"):
            assert told(control(client, method, body=b"" if method == "PUT" else None)) == DENIED
    # Nor by another's id, whoever asks for it.
    assert told(block(alice, account_id=BOB_ID)) == DENIED
    assert blocked(alice, BOB_ID) == "AccessDenied"
    assert told(control(alice, "DELETE", BOB_ID)) == DENIED
    assert blocked(alice) == ["BlockPublicAcls"]


def test_a_user_with_policies_may_what_they_allow(daemon, alice):
    def user(action):
        text = f'{{"Statement": [{{"Effect": "Allow", "Action": "{action}", "Resource": "*"}}]}}'
        made = User("GUARDKEY", "guard-secret", None, None, "guard", "alice", policy=parse_policy(text, None))
        daemon.users._users["GUARDKEY"] = made
        return daemon.client(made)

    getter = user("s3:GetAccountPublicAccessBlock")
    assert blocked(getter) == "NoSuchPublicAccessBlockConfiguration"
    assert told(block(getter, *BLOCKS)) == told(control(getter, "DELETE")) == DENIED
    putter = user("s3:PutAccountPublicAccessBlock")
    assert block(putter, *BLOCKS).status == 200
    assert blocked(putter) == "AccessDenied"
    assert control(putter, "DELETE").status == 200
    other = user("s3:*Object")
    assert blocked(other) == "AccessDenied"


def test_a_bucket_of_that_name_is_a_bucket(alice):
    alice.put("/v20180820")
    alice.put(PATH, b"content")
    assert block(alice, "BlockPublicPolicy").status == 200
    assert alice("GET", PATH).body == b"content"
    assert alice("GET", PATH, headers={"Range": "bytes=1-2"}).body == b"on"
    assert blocked(alice) == ["BlockPublicPolicy"]
    assert alice("DELETE", PATH).status == 204
    assert blocked(alice) == ["BlockPublicPolicy"]


def test_the_account_may_be_in_the_host_too(tmp_path):
    daemon = Daemon(tmp_path, domains=["s3.test"])
    inside, outside = daemon.client(ALICE, host=f"{ALICE_ID}.s3.test"), daemon.client(ALICE)
    assert block(inside, "IgnorePublicAcls").status == 200
    assert blocked(outside) == ["IgnorePublicAcls"]
    other = daemon.client(ALICE, host=f"{BOB_ID}.elsewhere.test")
    assert blocked(other) == ["IgnorePublicAcls"]
    # Below another bucket it is a key as any.
    daemon.client(ALICE).put("/photos")
    photos = daemon.client(ALICE, host="photos.s3.test")
    assert outcome(control(photos, "GET")) == (404, "NoSuchKey")
    daemon.stop()


def test_the_account_s_id_must_be_signed(alice, nobody):
    target, headers = alice.signed("GET", PATH)
    response = nobody.connection.request("GET", target, headers | {"x-amz-account-id": ALICE_ID})
    assert told(response) == DENIED


def test_other_methods_are_not_allowed(alice):
    assert told(control(alice, "POST", body=b"")) == (405, "MethodNotAllowed")


def test_a_block_is_kept_in_a_file_for_the_account_alone(daemon, alice, bob):
    directory = daemon.data / ".zs3" / "accounts"
    assert block(alice, "BlockPublicAcls").status == 200
    assert (directory / "alice.json").read_text() == '{"publicAccessBlock":["BlockPublicAcls"]}'
    assert control(alice, "DELETE").status == 200
    assert not (directory / "alice.json").exists()


def test_an_id_has_twelve_digits_and_a_name_that_is_one_is_its_own():
    assert [len(accounts.account_id(name)) for name in ("default", "alice", "..")] == [12] * 3
    assert accounts.account_id("alice").isdecimal()
    assert accounts.account_id("alice") != accounts.account_id("bob")
    assert accounts.account_id("123456789012") == "123456789012"


# What it means --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("age")
def test_no_acl_becomes_public(daemon, alice, bob, bucket):
    alice.put(bucket + "/there", b"x", PUBLIC_READ)
    assert block(alice, "BlockPublicAcls").status == 200
    for _ in range(2):
        assert outcome(alice("PUT", bucket, {"acl": ""}, PUBLIC_READ)) == DENIED
        assert outcome(alice("PUT", bucket + "/there", {"acl": ""}, PUBLIC_READ)) == DENIED
        assert outcome(alice("PUT", bucket + "/a", None, PUBLIC_READ, b"x")) == DENIED
        assert outcome(alice("POST", bucket + "/a", {"uploads": ""}, PUBLIC_READ)) == DENIED
        copy = {"x-amz-copy-source": "/photos/there", **PUBLIC_READ}
        assert outcome(alice("PUT", bucket + "/a", None, copy)) == DENIED
        expected = (400, "InvalidBucketAclWithBlockPublicAccessError")
        assert outcome(alice("PUT", "/more", None, PUBLIC_READ)) == expected
    assert not (daemon.data / "photos" / "a").exists()
    assert not (daemon.data / "more").exists()
    assert bob("GET", bucket + "/there").status == 200
    # Nothing of it is another account's affair.
    bob.put("/bobs", headers=PUBLIC_READ)
    # Who writes into another's bucket is bound by the block of that.
    assert (
        alice("PUT", bucket, {"acl": ""}, {"x-amz-grant-write": f'id="{accounts.canonical_id("bob")}"'}).status == 200
    )
    assert outcome(bob("PUT", bucket + "/b", None, PUBLIC_READ, b"x")) == DENIED
    assert control(alice, "DELETE").status == 200
    alice.put(bucket + "/a", b"x", PUBLIC_READ)


@pytest.mark.parametrize("short_cut", [True, False])
@pytest.mark.usefixtures("age")
def test_public_acls_are_ignored(alice, bob, nobody, bucket, monkeypatch, short_cut):
    if not short_cut:
        monkeypatch.setattr(Express, "serve", lambda *_: False)
    assert alice("PUT", bucket, {"acl": ""}, PUBLIC_READ).status == 200
    alice.put(bucket + "/a", b"content", PUBLIC_READ)
    for _ in range(2):
        assert block(alice, "IgnorePublicAcls").status == 200
        for client in (bob, nobody) * 2:
            assert outcome(client("GET", bucket)) == DENIED
            assert outcome(client("GET", bucket + "/a")) == DENIED
        assert parse(alice("GET", bucket, {"policyStatus": ""})).findtext("IsPublic") == "false"
        assert alice("GET", bucket + "/a").body == b"content"
        assert control(alice, "DELETE").status == 200
        for client in (bob, nobody) * 2:
            assert client("GET", bucket + "/a").body == b"content"
        assert parse(alice("GET", bucket, {"policyStatus": ""})).findtext("IsPublic") == "true"


def test_a_website_is_not_public_either(tmp_path):
    daemon = Daemon(tmp_path, ownership=WRITER, website_domains=["web.test"])
    alice, visitor = daemon.client(ALICE), daemon.client(None, host="photos.web.test")
    alice.put("/photos")
    document = b"<WebsiteConfiguration><IndexDocument><Suffix>i.html</Suffix></IndexDocument></WebsiteConfiguration>"
    assert alice("PUT", "/photos", {"website": ""}, body=document).status == 200
    alice.put("/photos/i.html", b"page", PUBLIC_READ)
    assert visitor("GET", "/").body == b"page"
    assert block(alice, "IgnorePublicAcls").status == 200
    assert visitor("GET", "/").status == 403
    daemon.stop()


def test_no_policy_becomes_public_and_one_that_is_lets_nobody_else_in(alice, bob, nobody, bucket):
    alice.put(bucket + "/a", b"content")
    assert block(alice, "BlockPublicPolicy").status == 200
    assert outcome(alice("PUT", bucket, {"policy": ""}, body=PUBLIC_POLICY)) == DENIED
    assert control(alice, "DELETE").status == 200
    assert alice("PUT", bucket, {"policy": ""}, body=PUBLIC_POLICY).status == 204
    assert nobody("GET", bucket + "/a").body == b"content"
    assert block(alice, "RestrictPublicBuckets").status == 200
    for client in (bob, nobody):
        assert outcome(client("GET", bucket + "/a")) == DENIED
    assert alice("GET", bucket + "/a").body == b"content"


def test_the_blocks_of_account_and_bucket_count_together(alice, nobody, bucket):
    alice.put(bucket + "/a", b"content", PUBLIC_READ)
    document = (
        b"<PublicAccessBlockConfiguration><IgnorePublicAcls>true</IgnorePublicAcls></PublicAccessBlockConfiguration>"
    )
    assert alice("PUT", bucket, {"publicAccessBlock": ""}, body=document).status == 200
    assert block(alice, "BlockPublicAcls").status == 200
    assert outcome(nobody("GET", bucket + "/a")) == DENIED
    assert outcome(alice("PUT", bucket + "/a", {"acl": ""}, PUBLIC_READ)) == DENIED
    assert of_bucket(alice, bucket) == ["IgnorePublicAcls"]
    assert blocked(alice) == ["BlockPublicAcls"]


@pytest.mark.parametrize("number", [0, 1])
def test_a_block_that_comes_while_the_body_is_awaited_counts(daemon, alice, bucket, number):
    what, document = (
        ("policy", PUBLIC_POLICY),
        (
            "acl",
            b"<AccessControlPolicy><Owner><ID>%b</ID></Owner><AccessControlList><Grant><Grantee><URI>"
            b"http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission></Grant>"
            b"</AccessControlList></AccessControlPolicy>" % accounts.canonical_id("alice").encode(),
        ),
    )[number]
    target, headers = alice.signed("PUT", bucket, {what: ""}, None, document)
    headers.setdefault("Content-Length", str(len(document)))
    head = f"PUT {target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
    alice.connection.send(head.encode() + document[:10])
    assert block(daemon.client(ALICE), *BLOCKS).status == 200
    alice.connection.send(document[10:])
    assert outcome(alice.connection.receive()) == DENIED


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff", b'{"publicAccessBlock": ["Other"]}', b'{"publicAccessBlock": 1}']
)
@pytest.mark.usefixtures("age")
def test_what_is_kept_and_cannot_be_read_blocks_everything(daemon, alice, bob, nobody, bucket, content):
    alice.put(bucket + "/a", b"content", PUBLIC_READ)
    assert nobody("GET", bucket + "/a").status == 200
    path = daemon.data / ".zs3" / "accounts" / "alice.json"
    await_next_tick(daemon)
    path.with_name("new").write_bytes(content)
    path.with_name("new").rename(path)
    for client in (bob, nobody):
        assert outcome(client("GET", bucket + "/a")) == DENIED
    assert outcome(alice("PUT", bucket + "/b", None, PUBLIC_READ, b"x")) == DENIED
    assert outcome(alice("PUT", bucket, {"policy": ""}, body=PUBLIC_POLICY)) == DENIED
    assert alice("GET", bucket + "/a").status == 200
    assert blocked(alice) == list(BLOCKS)
    # Its administrator can put another.
    assert block(alice).status == 200
    assert blocked(alice) == []
    assert nobody("GET", bucket + "/a").status == 200


def test_what_is_no_file_blocks_everything_until_it_is_gone(daemon, alice, nobody, bucket):
    alice.put(bucket + "/a", b"content", PUBLIC_READ)
    path = daemon.data / ".zs3" / "accounts" / "alice.json"
    path.mkdir()
    assert outcome(nobody("GET", bucket + "/a")) == DENIED
    assert alice("GET", bucket + "/a").status == 200
    path.rmdir()
    assert nobody("GET", bucket + "/a").status == 200


@pytest.mark.usefixtures("age")
def test_all_daemons_of_a_directory_know_of_a_block_at_once(tmp_path, daemon, alice, nobody, bucket):
    other = Daemon(tmp_path, ownership=WRITER)
    alice.put(bucket + "/a", b"content", PUBLIC_READ)
    for _ in range(3):
        assert other.client(None)("GET", bucket + "/a").status == nobody("GET", bucket + "/a").status == 200
        assert block(alice, *BLOCKS).status == 200
        assert outcome(other.client(None)("GET", bucket + "/a")) == outcome(nobody("GET", bucket + "/a")) == DENIED
        assert control(other.client(ALICE), "DELETE").status == 200
    other.stop()


def test_a_block_counts_after_a_restart(tmp_path):
    daemon = Daemon(tmp_path, ownership=WRITER)
    daemon.client(ALICE).put("/photos", headers=PUBLIC_READ)
    assert block(daemon.client(ALICE), *BLOCKS).status == 200
    daemon.stop()
    daemon = Daemon(tmp_path, ownership=WRITER)
    assert outcome(daemon.client(None)("GET", "/photos")) == DENIED
    daemon.stop()


def test_new_buckets_have_no_less_for_it(tmp_path):
    daemon = Daemon(tmp_path, ownership=ENFORCED)
    alice = daemon.client(ALICE)
    assert block(alice).status == 200
    alice.put("/photos")
    assert of_bucket(alice, "/photos") == list(BLOCKS)
    daemon.stop()


def test_nothing_is_blocked_by_what_an_account_has_not_configured():
    assert access.account_block({}) == access.account_block({"other": 1}) == frozenset()
    assert access.account_block({"publicAccessBlock": None}) == frozenset(BLOCKS)


def test_another_account_s_bucket_is_not_bound_by_mine(alice, bob, nobody):
    assert block(alice, *BLOCKS).status == 200
    bob.put("/bobs", headers=PUBLIC_READ)
    assert nobody("GET", "/bobs").status == 200
