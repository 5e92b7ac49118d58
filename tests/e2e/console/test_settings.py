"""What is configured of buckets, users and their keys, and the disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from playwright.sync_api import Page, expect

from tests.e2e.console.conftest import Open
from tests.e2e.console.pages import GUEST, Console, choose, names, sign_in
from tests.e2e.daemon import REGION
from tests.e2e.plainhttp import fetch


def settings(page: Page, console: Console, bucket: Path, section: str) -> None:
    page.goto(console.url(f"#/s/{bucket.name}/{section}"))


def test_a_policy_is_looked_at_here_and_there_before_it_counts(
    page: Page, console: Console, bucket: Path, s3: Any
) -> None:
    (bucket / "a.txt").write_text("public")
    settings(page, console, bucket, "policy")
    text = page.get_by_label("Policy (JSON)")
    save = page.get_by_role("button", name="Save")
    text.fill('{\n  "Version": "2012-10-17",\n  "Statement": [,]\n}')
    expect(page.locator("#main").get_by_role("alert")).to_contain_text("Line 3")
    expect(text).to_have_attribute("aria-invalid", "true")
    expect(save).to_be_disabled()

    page.get_by_label("Begin with").select_option("Everybody may read objects")
    right = text.input_value()
    text.fill(right.replace("s3:GetObject", "s3:NoSuchAction"))
    save.click()
    expect(page.locator("#main").get_by_role("alert")).to_contain_text("MalformedPolicy")
    assert fetch(console.daemon.plain, f"/{bucket.name}/a.txt").status == 403

    text.fill(right)
    expect(page.get_by_text("This bucket refuses policies that make something public")).to_be_visible()
    s3.delete_public_access_block(Bucket=bucket.name)
    save.click()
    expect(page.get_by_role("button", name="Remove the policy")).to_be_visible()
    assert fetch(console.daemon.plain, f"/{bucket.name}/a.txt").body == b"public"
    page.get_by_role("button", name="Remove the policy").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.get_by_role("button", name="Remove the policy")).not_to_be_visible()
    assert fetch(console.daemon.plain, f"/{bucket.name}/a.txt").status == 403


def test_lifecycle_rules_are_made_in_a_form(page: Page, console: Console, bucket: Path, s3: Any) -> None:
    settings(page, console, bucket, "lifecycle")
    page.get_by_role("button", name="Add a rule").click()
    rule = page.get_by_role("group", name="Rule 1")
    save = page.get_by_role("button", name="Save")
    expect(rule).to_contain_text("choose at least one action")
    expect(save).to_be_disabled()
    rule.get_by_label("Name", exact=True).fill("logs")
    rule.get_by_label("For keys that begin with").fill("logs/<&>")
    rule.get_by_label("Larger than").fill("10")
    rule.get_by_role("button", name="Only with a tag").click()
    rule.get_by_label("Name of tag 1").fill("kind")
    rule.get_by_label("Value of tag 1").fill("log")
    rule.get_by_label("Objects expire after").fill("30")
    rule.get_by_label("Older versions are removed after (days)").fill("7")
    rule.get_by_label("but these many").fill("2")
    save.click()
    expect(page.get_by_role("button", name="Remove the lifecycle rules")).to_be_visible()
    made = s3.get_bucket_lifecycle_configuration(Bucket=bucket.name)["Rules"]
    assert made == [
        {
            "ID": "logs",
            "Status": "Enabled",
            "Filter": {
                "And": {
                    "Prefix": "logs/<&>",
                    "Tags": [{"Key": "kind", "Value": "log"}],
                    "ObjectSizeGreaterThan": 10,
                }
            },
            "Expiration": {"Days": 30},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 7, "NewerNoncurrentVersions": 2},
        }
    ]
    # What another client put is what the form shows, and what is not touched stays.
    made.append(
        {"ID": "old", "Status": "Disabled", "Filter": {}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3}}
    )
    s3.put_bucket_lifecycle_configuration(Bucket=bucket.name, LifecycleConfiguration={"Rules": made})
    page.reload()
    second = page.get_by_role("group", name="Rule 2")
    expect(second.get_by_label("Unfinished uploads")).to_have_value("3")
    expect(second.get_by_role("switch", name="In force")).not_to_be_checked()
    second.get_by_role("switch", name="In force").click()
    save.click()
    expect(page.get_by_role("status").filter(has_text="Saved the lifecycle rules.").first).to_be_visible()
    made[1]["Status"] = "Enabled"
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket.name)["Rules"] == made


def test_rules_are_edited_as_a_text_too_and_the_servers_word_is_told(
    page: Page, console: Console, bucket: Path, s3: Any
) -> None:
    settings(page, console, bucket, "lifecycle")
    page.get_by_role("button", name="Edit as XML").click()
    text = page.get_by_label("LifecycleConfiguration (XML)")
    text.fill("<LifecycleConfiguration>\n<Rule>\n</LifecycleConfiguration>")
    main = page.locator("#main")
    expect(main.get_by_role("alert")).to_contain_text("Line 3")
    moves = (
        "<LifecycleConfiguration><Rule><ID>cold</ID><Status>Enabled</Status><Filter/>"
        "<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition></Rule></LifecycleConfiguration>"
    )
    text.fill(moves)
    page.get_by_role("button", name="Edit as a form").click()
    expect(main.get_by_role("status").first).to_contain_text("no field for Transition")
    expect(text).to_have_value(moves)
    page.get_by_role("button", name="Save").click()
    expect(main.get_by_role("alert")).to_contain_text("Transitions are not implemented")
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket=bucket.name)


def test_cors_rules_are_made_in_a_form(page: Page, console: Console, bucket: Path, s3: Any) -> None:
    settings(page, console, bucket, "cors")
    page.get_by_role("button", name="Add a rule").click()
    rule = page.get_by_role("group", name="Rule 1")
    rule.get_by_label("Origins").fill("https://a.example/\nhttps://*.example")
    expect(rule).to_contain_text("an origin has no path")
    rule.get_by_label("Origins").fill("https://a.example\nhttps://*.example")
    rule.get_by_label("PUT").check()
    rule.get_by_label("Headers that a page may send").fill("*")
    rule.get_by_label("Headers that a page may read").fill("ETag, x-amz-meta-a")
    rule.get_by_label("Remembered for").fill("600")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("button", name="Remove the CORS rules")).to_be_visible()
    assert s3.get_bucket_cors(Bucket=bucket.name)["CORSRules"] == [
        {
            "AllowedOrigins": ["https://a.example", "https://*.example"],
            "AllowedMethods": ["GET", "PUT"],
            "AllowedHeaders": ["*"],
            "ExposeHeaders": ["ETag", "x-amz-meta-a"],
            "MaxAgeSeconds": 600,
        }
    ]


def test_public_access_tags_and_locks_of_a_bucket(page: Page, console: Console, bucket: Path, s3: Any) -> None:
    settings(page, console, bucket, "general")
    block = page.get_by_role("switch", name="Refuse policies that make something public")
    # It is how every bucket begins.
    expect(block).to_be_checked()
    block.click()
    expect(block).not_to_be_checked()
    assert s3.get_public_access_block(Bucket=bucket.name)["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": False,
        "RestrictPublicBuckets": True,
    }
    expect(page.get_by_role("region", name="Ownership and locks")).to_contain_text("ACLs are disabled")
    page.get_by_role("link", name="Tags", exact=True).click()
    page.get_by_role("button", name="Add a tag").click()
    page.get_by_label("Name of tag 1").fill("cost centre")
    page.get_by_label("Value of tag 1").fill("42")
    page.get_by_role("button", name="Save the tags").click()
    expect(page.get_by_role("button", name="Save the tags")).not_to_be_visible()
    assert s3.get_bucket_tagging(Bucket=bucket.name)["TagSet"] == [{"Key": "cost centre", "Value": "42"}]


def test_unfinished_uploads_are_seen_and_aborted(page: Page, console: Console, bucket: Path, s3: Any) -> None:
    for key in ("film é.mkv", "a//b"):
        s3.create_multipart_upload(Bucket=bucket.name, Key=key)
    settings(page, console, bucket, "general")
    uploads = page.get_by_role("list", name="Unfinished uploads")
    expect(uploads).to_contain_text("film é.mkv")
    page.get_by_role("button", name="Abort them").click()
    page.get_by_role("dialog", name="Abort 2 uploads?").get_by_role("button", name="Abort them").click()
    expect(page.get_by_role("region", name="Unfinished uploads")).to_contain_text("None.")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket.name)


def test_a_user_is_made_given_another_key_disabled_and_removed(page: Page, console: Console, bucket: Path) -> None:
    page.get_by_role("link", name="Users").click()
    page.get_by_role("button", name="New user").click()
    page.get_by_label("Name").fill("phone")
    page.get_by_label("Only these buckets").fill(bucket.name)
    page.get_by_role("button", name="Make the user").click()
    dialog = page.get_by_role("dialog", name="Key pair of phone")
    access_key = dialog.get_by_label("Access key", exact=True).input_value()
    secret_key = dialog.get_by_label("Secret key", exact=True).input_value()
    dialog.get_by_role("button", name="I have kept it").click()
    assert secret_key not in page.content()
    client = boto3.session.Session(access_key, secret_key, region_name=REGION).client(
        "s3", endpoint_url=console.daemon.plain.url
    )
    client.put_object(Bucket=bucket.name, Key="from the phone", Body=b"x")
    choose(page, "phone", "New key pair")
    page.get_by_role("button", name="I have kept it").click()
    keys = page.get_by_role("list", name="Key pairs of phone").get_by_role("listitem")
    expect(keys).to_have_count(2)
    choose(page, "phone", "Disable")
    expect(page.get_by_role("heading", name="phone")).to_contain_text("disabled")
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        client.list_objects_v2(Bucket=bucket.name)
    client.close()
    choose(page, f"the key {access_key}", "Remove")
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(keys).to_have_count(1)
    choose(page, "phone", "Remove")
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.locator(".users").get_by_role("heading", name="phone")).to_have_count(0)
    # Nobody takes the own access away.
    page.get_by_role("button", name="Actions for admin").click()
    expect(page.get_by_role("menuitem")).to_have_text(["New key pair"])


def test_the_disk_and_what_a_bucket_takes_of_it(page: Page, console: Console, bucket: Path) -> None:
    for i in range(2500):
        (bucket / str(i)).write_text("0123456789")
    page.get_by_role("link", name="Disk").click()
    expect(page.get_by_role("meter", name="Space")).to_be_visible()
    page.get_by_role("button", name=f"Measure {bucket.name}").click()
    expect(page.get_by_role("listitem").filter(has_text=bucket.name)).to_contain_text("25 kB in 2,500 objects")


def test_who_is_no_admin_has_the_disk_page_without_the_disk(open_page: Open, console: Console, bucket: Path) -> None:
    page = open_page()
    sign_in(page, console, GUEST)
    page.goto(console.url("#/disk"))
    expect(page.get_by_role("button", name=f"Measure {bucket.name}")).to_be_visible()
    expect(page.get_by_role("meter")).to_have_count(0)
    page.goto(console.url("#/users"))
    expect(page.locator("#main").get_by_role("alert")).to_contain_text("Access Denied")


def test_what_the_console_says_of_json_is_right(page: Page, console: Console, bucket: Path, s3: Any) -> None:
    """A policy of another client is shown as it is, laid out."""
    policy = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:DeleteObject",
            "Resource": f"arn:aws:s3:::{bucket.name}/*",
        },
    }
    s3.put_bucket_policy(Bucket=bucket.name, Policy=json.dumps(policy))
    settings(page, console, bucket, "policy")
    text = page.get_by_label("Policy (JSON)")
    expect(text).to_have_value(json.dumps(json.loads(s3.get_bucket_policy(Bucket=bucket.name)["Policy"]), indent=2))
    expect(page.get_by_role("button", name="Save")).to_be_disabled()
    page.goto(console.browse(bucket.name))
    assert names(page) == []
