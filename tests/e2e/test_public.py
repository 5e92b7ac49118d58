"""What is shared with everybody or with another account, by the clients that people share things with."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.e2e import test_awscli, test_rclone, test_s3cmd
from tests.e2e.conftest import Run
from tests.e2e.daemon import ACCESS_KEY, REGION, SECRET_KEY, Daemon, running
from tests.e2e.plainhttp import fetch
from zs3.auth.accounts import account_id, canonical_id

GUEST_KEY, GUEST_SECRET = "GUESTACCESSKEY", "guest-secret-key"
USERS = f"""
[users.owner]
access_key = "{ACCESS_KEY}"
secret_key = "{SECRET_KEY}"
role = "admin"
[users.guest]
access_key = "{GUEST_KEY}"
secret_key = "{GUEST_SECRET}"
role = "writer"
account = "guests"
"""
ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home = tmp_path_factory.mktemp("public")
    users = home / "users.toml"
    users.touch(0o600)
    users.write_text(USERS)
    options = ("--auth", f"zs3:{users}", "--object-ownership", "ObjectWriter")
    with running(home, home / "data", *options) as daemon:
        yield daemon


def s3(daemon: Daemon, key: str = ACCESS_KEY, secret: str = SECRET_KEY) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=daemon.plain.url,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name=REGION,
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )


def status(daemon: Daemon, path: str) -> int:
    """Of a GET that nobody signed."""
    return fetch(daemon.plain, daemon.plain.url + path).status


def test_aws_shares_with_everybody_and_no_more(run: Run, daemon: Daemon, bucket: str, tmp_path: Path) -> None:
    aws = test_awscli.command(run, daemon.plain)
    (tmp_path / "page.html").write_text("<p>hello")
    aws("s3", "mb", f"s3://{bucket}")
    aws("s3", "cp", "--acl", "public-read", tmp_path / "page.html", f"s3://{bucket}/page.html")
    aws("s3", "cp", tmp_path / "page.html", f"s3://{bucket}/private.html")
    answer = fetch(daemon.plain, f"{daemon.plain.url}/{bucket}/page.html")
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, b"<p>hello", "text/html")
    assert status(daemon, f"/{bucket}/private.html") == status(daemon, f"/{bucket}/absent") == 403
    assert status(daemon, f"/{bucket}") == 403
    aws("s3api", "put-bucket-acl", "--bucket", bucket, "--acl", "public-read")
    assert b"<Key>private.html</Key>" in fetch(daemon.plain, f"{daemon.plain.url}/{bucket}").body
    assert status(daemon, f"/{bucket}/private.html") == 403
    assert status(daemon, f"/{bucket}/absent") == 404
    acl = json.loads(aws("s3api", "get-bucket-acl", "--bucket", bucket))
    assert {"Grantee": {"Type": "Group", "URI": ALL_USERS}, "Permission": "READ"} in acl["Grants"]
    aws("s3api", "put-object-acl", "--bucket", bucket, "--key", "page.html", "--acl", "private")
    assert status(daemon, f"/{bucket}/page.html") == 403


def test_s3cmd_sets_and_grants_and_revokes(run: Run, daemon: Daemon, bucket: str, tmp_path: Path) -> None:
    s3cmd = test_s3cmd.command(run, daemon.plain, tmp_path)
    url = f"s3://{bucket}"
    (tmp_path / "file.txt").write_text("content")
    s3cmd("mb", url)
    s3cmd("put", "--acl-public", tmp_path / "file.txt", f"{url}/public.txt")
    s3cmd("put", tmp_path / "file.txt", f"{url}/file.txt")
    assert status(daemon, f"/{bucket}/public.txt") == 200
    assert status(daemon, f"/{bucket}/file.txt") == 403
    s3cmd("setacl", "--acl-public", f"{url}/file.txt")
    assert status(daemon, f"/{bucket}/file.txt") == 200
    s3cmd("setacl", "--acl-private", "--recursive", url)
    assert status(daemon, f"/{bucket}/file.txt") == status(daemon, f"/{bucket}/public.txt") == 403
    s3cmd("setacl", f"--acl-grant=read:{canonical_id('guests')}", f"{url}/file.txt")
    guest = s3(daemon, GUEST_KEY, GUEST_SECRET)
    assert guest.get_object(Bucket=bucket, Key="file.txt")["Body"].read() == b"content"
    assert "guests" in s3cmd("info", f"{url}/file.txt")
    s3cmd("setacl", f"--acl-revoke=read:{canonical_id('guests')}", f"{url}/file.txt")
    with pytest.raises(ClientError, match="AccessDenied"):
        guest.get_object(Bucket=bucket, Key="file.txt")
    # s3cmd takes an object's ACL along.
    s3cmd("setacl", "--acl-public", f"{url}/file.txt")
    s3cmd("mv", f"{url}/file.txt", f"{url}/moved.txt")
    assert status(daemon, f"/{bucket}/moved.txt") == 200


def test_rclone_uploads_and_copies_with_an_acl(run: Run, daemon: Daemon, bucket: str, tmp_path: Path) -> None:
    rclone = test_rclone.command(run, daemon.plain)
    (tmp_path / "file.txt").write_text("content")
    rclone("mkdir", "--s3-bucket-acl", "public-read", f"zs3:{bucket}")
    assert status(daemon, f"/{bucket}") == 200
    rclone("copyto", "--s3-acl", "public-read", tmp_path / "file.txt", f"zs3:{bucket}/public.txt")
    rclone("copyto", "--s3-acl", "private", tmp_path / "file.txt", f"zs3:{bucket}/private.txt")
    rclone("copyto", "--s3-acl", "public-read", f"zs3:{bucket}/private.txt", f"zs3:{bucket}/copied.txt")
    codes = [status(daemon, f"/{bucket}/{name}.txt") for name in ("public", "private", "copied")]
    assert codes == [200, 403, 200]


def test_what_boto3_puts_is_what_it_gets(daemon: Daemon, bucket: str) -> None:
    """The calls of a program that configures a bucket and reads back each time, as Terraform does."""
    client = s3(daemon)
    client.create_bucket(Bucket=bucket, ObjectOwnership="BucketOwnerPreferred")
    rules = client.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerPreferred"}]
    for ownership in ("ObjectWriter", "BucketOwnerEnforced", "BucketOwnerPreferred"):
        controls = {"Rules": [{"ObjectOwnership": ownership}]}
        client.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=controls)
        assert client.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"] == controls
    block = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), False)
    for name in block:
        wanted = block | {name: True}
        client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=wanted)
        assert client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == wanted
    client.delete_public_access_block(Bucket=bucket)
    with pytest.raises(ClientError, match="NoSuchPublicAccessBlockConfiguration"):
        client.get_public_access_block(Bucket=bucket)
    acl = client.get_bucket_acl(Bucket=bucket)
    grantee = {"Type": "CanonicalUser", "ID": canonical_id("guests"), "DisplayName": "guests"}
    grants = [{"Grantee": grantee, "Permission": "WRITE"}, *acl["Grants"]]
    client.put_bucket_acl(Bucket=bucket, AccessControlPolicy={"Owner": acl["Owner"], "Grants": grants})
    assert client.get_bucket_acl(Bucket=bucket)["Grants"] == grants
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=1)
    client.put_bucket_policy(Bucket=bucket, Policy=policy)
    assert client.get_bucket_policy(Bucket=bucket)["Policy"] == policy
    assert client.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"] == {"IsPublic": True}
    cors = [{"ID": "pages", "AllowedOrigins": ["https://example.org"], "AllowedMethods": ["GET"], "MaxAgeSeconds": 60}]
    client.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": cors})
    assert client.get_bucket_cors(Bucket=bucket)["CORSRules"] == cors
    website = {"IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "error.html"}}
    client.put_bucket_website(Bucket=bucket, WebsiteConfiguration=website)
    assert client.get_bucket_website(Bucket=bucket).items() >= website.items()
    tags = [{"Key": "stage", "Value": "test"}, {"Key": "team", "Value": "a b"}]
    client.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert client.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    # None of it has changed what was put before, and each is taken away by itself.
    assert client.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"] == controls
    assert client.get_bucket_acl(Bucket=bucket)["Grants"] == grants
    for name, code in (
        ("policy", "NoSuchBucketPolicy"),
        ("cors", "NoSuchCORSConfiguration"),
        ("website", "NoSuchWebsiteConfiguration"),
        ("tagging", "NoSuchTagSet"),
    ):
        getattr(client, f"get_bucket_{name}")(Bucket=bucket)
        getattr(client, f"delete_bucket_{name}")(Bucket=bucket)
        with pytest.raises(ClientError, match=code):
            getattr(client, f"get_bucket_{name}")(Bucket=bucket)
    guest = s3(daemon, GUEST_KEY, GUEST_SECRET)
    guest.put_object(Bucket=bucket, Key="given", Body=b"content", ACL="bucket-owner-full-control")
    assert client.get_object(Bucket=bucket, Key="given")["Body"].read() == b"content"
    assert client.get_object_acl(Bucket=bucket, Key="given")["Owner"] == acl["Owner"]
    assert bucket not in [each["Name"] for each in guest.list_buckets()["Buckets"]]
    with pytest.raises(ClientError, match="BucketAlreadyExists"):
        guest.create_bucket(Bucket=bucket)


@pytest.fixture
def prefixed_localhost(monkeypatch: pytest.MonkeyPatch) -> None:
    """All names below localhost are this machine, as where systemd resolves names."""
    resolve = socket.getaddrinfo

    def resolve_all(host: Any, *arguments: Any, **options: Any) -> Any:
        named = isinstance(host, str) and host.endswith(".localhost")
        return resolve("127.0.0.1" if named else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_all)


@pytest.mark.usefixtures("prefixed_localhost")
@pytest.mark.parametrize("prefix", [True, False])
def test_the_block_of_an_account_is_put_by_boto3_and_counts(tmp_path: Path, prefix: bool) -> None:
    users = tmp_path / "users.toml"
    users.touch(0o600)
    users.write_text(USERS)
    options = ("--auth", f"zs3:{users}", "--object-ownership", "ObjectWriter", "--workers", "2")
    with running(tmp_path, tmp_path / "data", *options) as daemon:
        control = boto3.client(
            "s3control",
            endpoint_url=f"http://localhost:{daemon.plain.port}",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name=REGION,
            config=Config(inject_host_prefix=prefix, retries={"max_attempts": 1}),
        )
        if not prefix:
            # It says the same, but botocore puts the prefix before the host all the same.
            control.meta.events.register("before-sign.s3-control", _without_prefix)
        account = account_id("default")
        s3(daemon).create_bucket(Bucket="shared")
        s3(daemon).put_object(Bucket="shared", Key="key", Body=b"content", ACL="public-read")
        with pytest.raises(control.exceptions.NoSuchPublicAccessBlockConfiguration):
            control.get_public_access_block(AccountId=account)
        none = dict.fromkeys(
            ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), False
        )
        for name in none:
            wanted = none | {name: True}
            control.put_public_access_block(AccountId=account, PublicAccessBlockConfiguration=wanted)
            assert control.get_public_access_block(AccountId=account)["PublicAccessBlockConfiguration"] == wanted
            expected = 403 if name == "IgnorePublicAcls" else 200
            assert {status(daemon, "/shared/key") for _ in range(20)} == {expected}
        for other in (account_id("guests"), "123456789012"):
            with pytest.raises(ClientError, match="AccessDenied"):
                control.get_public_access_block(AccountId=other)
        with pytest.raises(ClientError, match="NoSuchPublicAccessBlockConfiguration"):
            s3(daemon).get_public_access_block(Bucket="shared")
        control.delete_public_access_block(AccountId=account)
        with pytest.raises(control.exceptions.NoSuchPublicAccessBlockConfiguration):
            control.get_public_access_block(AccountId=account)
        control.close()


def _without_prefix(request: Any, **_: Any) -> None:
    request.url = request.url.replace(f"//{account_id('default')}.", "//")


def test_all_of_it_is_there_after_a_restart(tmp_path: Path) -> None:
    users = tmp_path / "users.toml"
    users.touch(0o600)
    users.write_text(USERS)
    data = tmp_path / "data"
    options = ("--auth", f"zs3:{users}", "--object-ownership", "ObjectWriter")
    with running(tmp_path, data, *options) as daemon:
        guest = s3(daemon, GUEST_KEY, GUEST_SECRET)
        guest.create_bucket(Bucket="guests-own", ACL="public-read")
        guest.put_object(Bucket="guests-own", Key="key", Body=b"content", ACL="public-read")
    with running(tmp_path, data, *options) as daemon:
        assert status(daemon, "/guests-own") == status(daemon, "/guests-own/key") == 200
        with pytest.raises(ClientError, match="AccessDenied"):
            s3(daemon).put_object(Bucket="guests-own", Key="key", Body=b"other")
    # Without ACLs nothing of it is public, and all is still whose it was.
    with running(tmp_path, data, *options[:2]) as daemon:
        assert status(daemon, "/guests-own") == status(daemon, "/guests-own/key") == 403
        guest = s3(daemon, GUEST_KEY, GUEST_SECRET)
        assert guest.get_object(Bucket="guests-own", Key="key")["Body"].read() == b"content"


POLICY = Path(__file__).parents[2] / "docs/policy.json"


def test_the_policy_of_the_manual(run: Run, daemon: Daemon, bucket: str, tmp_path: Path) -> None:
    aws = test_awscli.command(run, daemon.plain)
    policy = POLICY.read_text("utf-8").replace(":::photos", f":::{bucket}")
    (tmp_path / "policy.json").write_text(policy)
    (tmp_path / "file").write_text("content")
    aws("s3", "mb", f"s3://{bucket}")
    for key in ("public/file", "private/file"):
        aws("s3", "cp", tmp_path / "file", f"s3://{bucket}/{key}")
    aws("s3api", "put-bucket-policy", "--bucket", bucket, "--policy", f"file://{tmp_path}/policy.json")
    told = aws("s3api", "get-bucket-policy", "--bucket", bucket, "--query", "Policy", "--output", "text")
    assert told.strip() == policy.strip()
    assert json.loads(aws("s3api", "get-bucket-policy-status", "--bucket", bucket)) == {
        "PolicyStatus": {"IsPublic": True}
    }
    assert fetch(daemon.plain, f"{daemon.plain.url}/{bucket}/public/file").body == b"content"
    assert status(daemon, f"/{bucket}/private/file") == status(daemon, f"/{bucket}/public/absent") == 403
    assert status(daemon, f"/{bucket}") == 403
    guest = s3(daemon, GUEST_KEY, GUEST_SECRET)
    guest.put_object(Bucket=bucket, Key="guests/guest/note", Body=b"note")
    assert guest.get_object(Bucket=bucket, Key="guests/guest/note")["Body"].read() == b"note"
    answer = guest.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": "guests/guest/note"}, {"Key": "public/file"}]}
    )
    assert [each["Key"] for each in answer["Deleted"]] == ["guests/guest/note"]
    assert [(each["Key"], each["Code"]) for each in answer["Errors"]] == [("public/file", "AccessDenied")]
    for key in ("guests/other/note", "note"):
        with pytest.raises(ClientError, match="AccessDenied"):
            guest.put_object(Bucket=bucket, Key=key, Body=b"")
    # The loopback is not at home: to the owner, too, it is denied.
    owner = s3(daemon)
    with pytest.raises(ClientError, match="AccessDenied"):
        owner.get_object(Bucket=bucket, Key="private/file")
    owner.put_bucket_policy(Bucket=bucket, Policy=policy.replace("192.168.0.0/16", "127.0.0.0/8"))
    assert owner.get_object(Bucket=bucket, Key="private/file")["Body"].read() == b"content"
    aws("s3api", "delete-bucket-policy", "--bucket", bucket)
    assert status(daemon, f"/{bucket}/public/file") == 403


def test_a_policy_asks_for_tls(daemon: Daemon, bucket: str) -> None:
    plain = s3(daemon)
    plain.create_bucket(Bucket=bucket)
    plain.put_object(Bucket=bucket, Key="key", Body=b"content")
    conditions = {"Bool": {"aws:SecureTransport": "false"}}, {"NumericLessThan": {"s3:TlsVersion": "1.2"}}
    statements = [
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"},
        *(
            {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*", "Condition": condition}
            for condition in conditions
        ),
    ]
    plain.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    with pytest.raises(ClientError, match="AccessDenied"):
        plain.get_object(Bucket=bucket, Key="key")
    assert status(daemon, f"/{bucket}/key") == 403
    assert fetch(daemon.tls, f"{daemon.tls.url}/{bucket}/key").body == b"content"
    statements[2]["Condition"] = {"NumericLessThan": {"s3:TlsVersion": "1.4"}}
    plain.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    assert fetch(daemon.tls, f"{daemon.tls.url}/{bucket}/key").status == 403
    plain.delete_bucket_policy(Bucket=bucket)
