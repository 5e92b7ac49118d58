"""Object Lock."""

import base64
import hashlib
import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.forms import CONTENT_TYPE, form
from tests.wire.daemon import ALICE, BOB, READER, Daemon, parse, texts
from zs3.auth.access import WRITER

LOCKED = {"x-amz-bucket-object-lock-enabled": "true"}
CONFIGURATION, RETENTION, LEGAL_HOLD = {"object-lock": ""}, {"retention": ""}, {"legal-hold": ""}
BYPASS = {"x-amz-bypass-governance-retention": "true"}
MODE, UNTIL = "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date"
HOLD = "x-amz-object-lock-legal-hold"
FAR, FARTHER, PAST = "2099-01-01T00:00:00.000Z", "2100-01-01T00:00:00.000Z", "2020-01-01T00:00:00Z"


@pytest.fixture
def locked(client):
    """The path of an empty bucket with Object Lock."""
    client.put("/locked", headers=LOCKED)
    return "/locked"


def md5(body):
    return {"Content-MD5": base64.b64encode(hashlib.md5(body).digest()).decode()}


def put(client, path, body=b"bytes", headers=None):
    """The id of the version that is made."""
    return client.put(path, body, md5(body) | (headers or {})).headers["x-amz-version-id"]


def asked(mode, until=FAR, hold=None):
    return {MODE: mode, UNTIL: until} | ({HOLD: hold} if hold else {})


def rule(mode="GOVERNANCE", period="<Days>1</Days>"):
    return f"<Rule><DefaultRetention><Mode>{mode}</Mode>{period}</DefaultRetention></Rule>"


def configure(client, bucket, rules="", headers=None):
    body = f"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>{rules}</ObjectLockConfiguration>"
    return client("PUT", bucket, CONFIGURATION, headers, body.encode())


def retention(mode="", until=FAR):
    inner = f"<Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate>" if mode else ""
    return f"<Retention>{inner}</Retention>".encode()


def retain(client, path, mode, until=FAR, version=None, headers=None):
    query = RETENTION | ({"versionId": version} if version else {})
    return client("PUT", path, query, headers, retention(mode, until))


def hold(client, path, status, version=None):
    query = LEGAL_HOLD | ({"versionId": version} if version else {})
    return client("PUT", path, query, body=f"<LegalHold><Status>{status}</Status></LegalHold>".encode())


def retained(client, path, version=None):
    """Mode and date of a version, or the code of the error."""
    response = client("GET", path, RETENTION | ({"versionId": version} if version else {}))
    return response.error_code or (response.element("Mode"), response.element("RetainUntilDate"))


def remove(client, path, version, headers=None):
    """The code of the error that removing a version for good ends with, "" for none."""
    response = client("DELETE", path, {"versionId": version}, headers)
    assert response.error_code or response.status == 204
    return response.error_code


# Buckets --------------------------------------------------------------------------------------------------------------


def test_a_bucket_is_made_with_object_lock_and_keeps_versions(client, locked):
    assert client("GET", locked, {"versioning": ""}).element("Status") == "Enabled"
    configuration = parse(client("GET", locked, CONFIGURATION))
    assert [(each.tag, each.text) for each in configuration] == [("ObjectLockEnabled", "Enabled")]


def test_a_bucket_without_object_lock_has_no_configuration_of_it(client, bucket):
    assert client("GET", bucket, CONFIGURATION).error_code == "ObjectLockConfigurationNotFoundError"


def test_to_make_a_bucket_with_object_lock_is_true_or_false(client):
    name = "x-amz-bucket-object-lock-enabled"
    assert client("PUT", "/new", headers={name: "maybe"}).error_code == "InvalidArgument"
    assert client("HEAD", "/new").status == 404
    client.put("/new", headers={name: "False"})
    assert client("GET", "/new", CONFIGURATION).status == 404


def test_a_bucket_that_is_there_without_object_lock_is_not_taken_for_one_with(client, bucket):
    assert client("PUT", bucket, headers=LOCKED).error_code == "BucketAlreadyOwnedByYou"
    assert client("GET", bucket, CONFIGURATION).status == 404


def test_a_bucket_that_is_there_with_object_lock_is_as_it_was_asked_for(client, locked):
    client.put(locked, headers=LOCKED)


@pytest.mark.parametrize(
    ("mode", "period", "told"),
    [("GOVERNANCE", "<Days>30</Days>", ("30", None)), ("COMPLIANCE", "<Years>2</Years>", (None, "2"))],
)
def test_a_default_retention_is_told_as_it_was_configured(client, locked, mode, period, told):
    assert configure(client, locked, rule(mode, period)).status == 200
    response = client("GET", locked, CONFIGURATION)
    assert response.element("Mode") == mode
    assert (response.element("Days"), response.element("Years")) == told
    assert configure(client, locked).status == 200
    assert client("GET", locked, CONFIGURATION).element("Mode") is None


@pytest.mark.parametrize("status", ["", "Suspended"])
def test_only_a_bucket_that_keeps_versions_can_have_object_lock(client, bucket, status):
    if status:
        body = f"<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>".encode()
        assert client("PUT", bucket, {"versioning": ""}, body=body).status == 200
    assert configure(client, bucket).error_code == "InvalidBucketState"
    assert client("GET", bucket, CONFIGURATION).status == 404


def test_a_bucket_that_keeps_versions_can_be_given_object_lock(client, bucket):
    body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    client("PUT", bucket, {"versioning": ""}, body=body)
    before = client.put(bucket + "/key", b"before").headers["x-amz-version-id"]
    assert configure(client, bucket, rule("COMPLIANCE"), {"x-amz-bucket-object-lock-token": "any"}).status == 200
    after = put(client, bucket + "/key")
    assert remove(client, bucket + "/key", after) == "AccessDenied"
    assert remove(client, bucket + "/key", before) == ""


def test_versions_are_kept_for_good_in_a_bucket_with_object_lock(client, locked):
    body = b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"
    assert client("PUT", locked, {"versioning": ""}, body=body).error_code == "InvalidBucketState"
    assert client("GET", locked, {"versioning": ""}).element("Status") == "Enabled"


def test_object_lock_cannot_be_taken_from_a_bucket(client, locked):
    disabled = b"<ObjectLockConfiguration><ObjectLockEnabled>Disabled</ObjectLockEnabled></ObjectLockConfiguration>"
    assert client("PUT", locked, CONFIGURATION, body=disabled).error_code == "MalformedXML"
    assert client("DELETE", locked, CONFIGURATION).status == 501
    assert client("GET", locked, CONFIGURATION).status == 200


def test_a_bucket_with_a_locked_version_is_not_deleted(client, locked):
    put(client, locked + "/key", headers=asked("COMPLIANCE"))
    client("DELETE", locked + "/key")
    assert client("DELETE", locked).error_code == "BucketNotEmpty"


@pytest.mark.parametrize("value", [None, [], "on", {"mode": "COMPLIANCE"}, {"mode": "none", "days": 1}, {"days": 1}])
def test_where_the_configuration_is_garbled_nothing_is_written_or_unlocked(daemon, client, locked, value):
    version = put(client, locked + "/key", headers=asked("COMPLIANCE"))
    path = next(daemon.data.glob(".zs3/buckets/*/config"))
    configuration = json.loads(path.read_text())
    assert configuration["objectLock"] == {}
    path.write_text(json.dumps(configuration | {"objectLock": value}))
    assert client("PUT", locked + "/key", headers=md5(b"new"), body=b"new").status == 500
    assert client("GET", locked, CONFIGURATION).status == 500
    assert retain(client, locked + "/key", "", headers=BYPASS).status == 500
    assert remove(client, locked + "/key", version, BYPASS) == "AccessDenied"
    body = b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"
    assert client("PUT", locked, {"versioning": ""}, body=body).error_code == "InvalidBucketState"
    assert client("GET", locked + "/key").body == b"bytes"
    # And then it can be put right.
    assert configure(client, locked).status == 200
    assert client("GET", locked, CONFIGURATION).status == 200


def test_where_the_configuration_is_damaged_nothing_is_removed(daemon, client, locked):
    version = put(client, locked + "/key", headers=asked("GOVERNANCE"))
    path = next(daemon.data.glob(".zs3/buckets/*/config"))
    kept = path.read_bytes()
    path.write_bytes(kept[:-1])
    for headers in ({}, BYPASS):
        assert client("DELETE", locked + "/key", {"versionId": version}, headers).status == 500
        assert client("DELETE", locked + "/key", headers=headers).status == 500
    assert client("DELETE", locked).status == 500
    path.write_bytes(kept)
    assert client("GET", locked + "/key").body == b"bytes"


# New versions ---------------------------------------------------------------------------------------------------------


def told(client, path, method="HEAD"):
    headers = client(method, path).headers
    return headers.get(MODE), headers.get(UNTIL), headers.get(HOLD)


def copy(client, path, source, headers=None):
    response = client("PUT", path, headers={"x-amz-copy-source": source} | (headers or {}))
    assert response.status == 200
    return response.headers["x-amz-version-id"]


def upload(client, path, headers=None, part=b"bytes"):
    upload_id = client("POST", path, {"uploads": ""}, headers).element("UploadId")
    response = client("PUT", path, {"uploadId": upload_id, "partNumber": "1"}, md5(part), part)
    assert response.status == 200
    etag = response.headers["etag"]
    body = (
        f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    )
    response = client("POST", path, {"uploadId": upload_id}, body=body.encode())
    assert response.status == 200
    return response.headers["x-amz-version-id"]


def post(client, bucket, headers=None):
    fields = {"key": "key"} | md5(b"bytes") | (headers or {})
    body = form(fields, b"bytes")
    response = client("POST", bucket, headers={"Content-Type": CONTENT_TYPE}, body=body)
    assert response.status == 204, response.body
    return response.headers["x-amz-version-id"]


def make(how, client, bucket, headers=None):
    """Make the object `key` in a bucket with Object Lock."""
    if how == "put":
        return put(client, bucket + "/key", headers=headers)
    if how == "copy":
        put(client, bucket + "/source")
        return copy(client, bucket + "/key", bucket + "/source", headers)
    return upload(client, bucket + "/key", headers)


WAYS = pytest.mark.parametrize("how", ["put", "copy", "upload"])


@WAYS
def test_a_version_is_made_with_the_lock_that_is_asked_for(client, locked, how):
    version = make(how, client, locked, asked("GOVERNANCE", hold="ON"))
    assert told(client, locked + "/key") == ("GOVERNANCE", FAR, "ON")
    assert told(client, locked + "/key", "GET") == ("GOVERNANCE", FAR, "ON")
    assert retained(client, locked + "/key", version) == ("GOVERNANCE", FAR)
    assert remove(client, locked + "/key", version, BYPASS) == "AccessDenied"
    assert hold(client, locked + "/key", "OFF").status == 200
    assert remove(client, locked + "/key", version) == "AccessDenied"
    assert remove(client, locked + "/key", version, BYPASS) == ""


@WAYS
def test_a_version_of_which_nothing_is_said_has_the_default_retention_from_now_on(daemon, client, locked, how):
    configure(client, locked, rule("COMPLIANCE", "<Days>2</Days>"))
    version = make(how, client, locked)
    mode, until = retained(client, locked + "/key", version)
    assert mode == "COMPLIANCE"
    left = datetime.fromisoformat(until) - datetime.fromtimestamp(daemon.server.clock.seconds(), UTC)
    assert timedelta(days=2) - timedelta(minutes=1) < left <= timedelta(days=2, milliseconds=1)
    assert remove(client, locked + "/key", version, BYPASS) == "AccessDenied"


@WAYS
def test_what_is_asked_for_comes_before_the_default(client, locked, how):
    configure(client, locked, rule("COMPLIANCE", "<Years>100</Years>"))
    version = make(how, client, locked, asked("GOVERNANCE"))
    assert retained(client, locked + "/key", version) == ("GOVERNANCE", FAR)


@WAYS
def test_a_legal_hold_leaves_the_default_retention(client, locked, how):
    configure(client, locked, rule())
    make(how, client, locked, {HOLD: "ON"})
    mode, _, status = told(client, locked + "/key")
    assert (mode, status) == ("GOVERNANCE", "ON")


def test_the_default_retention_of_an_upload_counts_from_its_completion(daemon, client, locked):
    configure(client, locked, rule("GOVERNANCE", "<Days>1</Days>"))
    path = locked + "/key"
    upload_id = client("POST", path, {"uploads": ""}).element("UploadId")
    etag = client("PUT", path, {"uploadId": upload_id, "partNumber": "1"}, md5(b"x"), b"x").headers["etag"]
    daemon.server.clock.rightNow += 600
    body = (
        f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    )
    assert client("POST", path, {"uploadId": upload_id}, body=body.encode()).status == 200
    until = datetime.fromisoformat(retained(client, path)[1]).timestamp()
    assert until == pytest.approx(daemon.server.clock.seconds() + 86_400, abs=2)


def test_a_form_makes_a_version_with_the_lock_that_its_fields_ask_for(client, locked, nobody):
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": ["s3:PutObject", "s3:PutObjectRetention"],
        "Resource": f"arn:aws:s3:::{locked[1:]}/*",
    }
    client("DELETE", locked, {"publicAccessBlock": ""})
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement}).encode()
    assert client("PUT", locked, {"policy": ""}, body=policy).status == 204
    version = post(nobody, locked, asked("COMPLIANCE"))
    assert retained(client, locked + "/key", version) == ("COMPLIANCE", FAR)
    # A hold is another right.
    body = form({"key": "key", HOLD: "ON"} | md5(b"bytes"), b"bytes")
    response = nobody("POST", locked, headers={"Content-Type": CONTENT_TYPE}, body=body)
    assert response.error_code == "AccessDenied"


def test_a_copy_does_not_have_the_lock_of_its_source(client, locked):
    put(client, locked + "/source", headers=asked("COMPLIANCE", hold="ON"))
    copy(client, locked + "/key", locked + "/source")
    assert told(client, locked + "/key") == (None, None, None)
    copy(client, locked + "/key", locked + "/source", {"x-amz-metadata-directive": "REPLACE"})
    assert told(client, locked + "/key") == (None, None, None)


@pytest.mark.parametrize("headers", [asked("GOVERNANCE"), {HOLD: "ON"}, {HOLD: "OFF"}, {MODE: "GOVERNANCE"}])
@WAYS
def test_a_bucket_without_object_lock_has_no_locked_versions(client, bucket, how, headers):
    path = bucket + "/key"
    client.put(bucket + "/source")
    response = {
        "put": lambda: client("PUT", path, headers=headers | md5(b""), body=b""),
        "copy": lambda: client("PUT", path, headers=headers | {"x-amz-copy-source": bucket + "/source"}),
        "upload": lambda: client("POST", path, {"uploads": ""}, headers),
    }[how]()
    assert response.error_code == "InvalidRequest"
    assert response.element("Message") == "Bucket is missing Object Lock Configuration"
    assert client("HEAD", path).status == 404


@pytest.mark.parametrize(
    "headers",
    [
        {MODE: "GOVERNANCE"},
        {UNTIL: FAR},
        {MODE: "governance", UNTIL: FAR},
        {MODE: "GOVERNANCE", UNTIL: PAST},
        {MODE: "GOVERNANCE", UNTIL: "Fri, 01 Jan 2099 00:00:00 GMT"},
        {HOLD: "on"},
    ],
)
def test_a_lock_that_cannot_be_meant_is_refused(client, locked, headers):
    response = client("PUT", locked + "/key", headers=headers | md5(b"x"), body=b"x")
    assert response.error_code == "InvalidArgument"
    assert client("HEAD", locked + "/key").status == 404


@pytest.mark.parametrize("name", ["", "-duration-days", "-duration-years"])
def test_event_holds_are_refused(client, locked, name):
    headers = {"x-amz-object-lock-event-hold" + name: "1"} | md5(b"x")
    assert client("PUT", locked + "/key", headers=headers, body=b"x").error_code == "NotImplemented"


def test_what_is_to_be_locked_must_say_what_its_bytes_are(client, locked):
    path = locked + "/key"
    assert client("PUT", path, body=b"x").status == 200
    response = client("PUT", path, headers=asked("GOVERNANCE"), body=b"x")
    assert response.error_code == "InvalidRequest"
    assert "Content-MD5 OR x-amz-checksum-" in response.element("Message")
    assert client("PUT", path, headers={HOLD: "ON"}, body=b"x").error_code == "InvalidRequest"
    checksum = base64.b64encode(hashlib.sha256(b"x").digest()).decode()
    checked = {"x-amz-checksum-sha256": checksum}
    assert client("PUT", path, headers=asked("GOVERNANCE") | checked, body=b"x").status == 200
    upload_id = client("POST", path, {"uploads": ""}, asked("GOVERNANCE")).element("UploadId")
    part = {"uploadId": upload_id, "partNumber": "1"}
    assert client("PUT", path, part, body=b"x").error_code == "InvalidRequest"
    assert client("PUT", path, part, md5(b"x"), b"x").status == 200
    configure(client, locked, rule())
    assert client("PUT", path, body=b"x").error_code == "InvalidRequest"


# Retentions -----------------------------------------------------------------------------------------------------------


def test_a_version_is_given_a_retention_and_no_other_is(client, locked):
    path = locked + "/key"
    first, second = put(client, path), put(client, path)
    response = retain(client, path, "GOVERNANCE", version=first)
    assert (response.status, response.headers["x-amz-version-id"]) == (200, first)
    assert retained(client, path, first) == ("GOVERNANCE", FAR)
    assert retained(client, path, second) == retained(client, path) == "NoSuchObjectLockConfiguration"
    assert remove(client, path, first) == "AccessDenied"
    assert client("GET", path, {"versionId": first}).body == b"bytes"
    assert remove(client, path, second) == ""


def test_compliance_is_only_made_longer_whoever_asks(client, locked):
    path = locked + "/key"
    version = put(client, path, headers=asked("COMPLIANCE", FARTHER))
    for headers in ({}, BYPASS):
        for mode, until in (
            ("COMPLIANCE", FAR),
            ("GOVERNANCE", FARTHER),
            ("GOVERNANCE", "2101-01-01T00:00:00Z"),
            ("", ""),
        ):
            assert retain(client, path, mode, until, version, headers).error_code == "AccessDenied"
        assert remove(client, path, version, headers) == "AccessDenied"
    assert retained(client, path, version) == ("COMPLIANCE", FARTHER)
    assert retain(client, path, "COMPLIANCE", "2101-01-01T00:00:00Z", version).status == 200
    assert retained(client, path, version) == ("COMPLIANCE", "2101-01-01T00:00:00.000Z")


@pytest.mark.parametrize(("mode", "until"), [("GOVERNANCE", FAR), ("COMPLIANCE", FARTHER), ("", "")])
def test_governance_is_passed_over_by_who_says_so_and_may(client, locked, mode, until):
    path = locked + "/key"
    version = put(client, path, headers=asked("GOVERNANCE", FARTHER))
    assert retain(client, path, mode, until, version).error_code == "AccessDenied"
    assert retained(client, path, version) == ("GOVERNANCE", FARTHER)
    assert retain(client, path, mode, until, version, BYPASS).status == 200
    assert retained(client, path, version) == ((mode, until) if mode else "NoSuchObjectLockConfiguration")


def test_a_retention_that_has_passed_holds_nothing(daemon, client, locked):
    path = locked + "/key"
    until = datetime.fromtimestamp(time.time() + 2, UTC).isoformat()
    version = put(client, path, headers=asked("COMPLIANCE", until))
    assert remove(client, path, version) == "AccessDenied"
    time.sleep(2.1)
    daemon.server.clock.rightNow = time.time()
    assert retained(client, path, version)[0] == "COMPLIANCE"
    assert retain(client, path, "GOVERNANCE", FAR, version).status == 200
    assert retain(client, path, "", version=version, headers=BYPASS).status == 200
    assert remove(client, path, version) == ""


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MalformedXML"),
        (b"<Retention><Mode>GOVERNANCE</Mode></Retention>", "MalformedXML"),
        (retention("abc"), "MalformedXML"),
        (retention("COMPLIANCE", "tomorrow"), "MalformedXML"),
        (retention("COMPLIANCE", PAST), "InvalidArgument"),
        (b"<Retention><EventHold>ON</EventHold></Retention>", "NotImplemented"),
    ],
)
def test_a_retention_that_cannot_be_is_refused(client, locked, body, code):
    put(client, locked + "/key")
    assert client("PUT", locked + "/key", RETENTION, body=body).error_code == code
    assert retained(client, locked + "/key") == "NoSuchObjectLockConfiguration"


# Legal holds ----------------------------------------------------------------------------------------------------------


def test_a_legal_hold_keeps_a_version_from_anybody_until_it_is_taken_away(client, locked):
    path = locked + "/key"
    version = put(client, path)
    assert client("GET", path, LEGAL_HOLD).element("Status") == "OFF"
    response = hold(client, path, "ON")
    assert (response.status, response.headers["x-amz-version-id"]) == (200, version)
    assert client("GET", path, LEGAL_HOLD).element("Status") == "ON"
    assert remove(client, path, version, BYPASS) == "AccessDenied"
    assert hold(client, path, "OFF", version).status == 200
    assert client("GET", path, LEGAL_HOLD).element("Status") == "OFF"
    assert remove(client, path, version) == ""


def test_a_legal_hold_and_a_retention_know_nothing_of_each_other(client, locked):
    path = locked + "/key"
    put(client, path)
    hold(client, path, "ON")
    retain(client, path, "COMPLIANCE")
    hold(client, path, "OFF")
    assert told(client, path) == ("COMPLIANCE", FAR, None)


def test_tags_and_locks_know_nothing_of_each_other(client, locked):
    path = locked + "/key"
    put(client, path, headers=asked("COMPLIANCE", hold="ON"))
    tags = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
    assert client("PUT", path, {"tagging": ""}, body=tags).status == 200
    assert told(client, path) == ("COMPLIANCE", FAR, "ON")


@pytest.mark.parametrize("query", [RETENTION, LEGAL_HOLD])
def test_there_are_no_locks_in_a_bucket_without_object_lock(client, bucket, query):
    client.put(bucket + "/key")
    bodies = {"retention": retention("GOVERNANCE"), "legal-hold": b"<LegalHold><Status>ON</Status></LegalHold>"}
    for response in (
        client("GET", bucket + "/key", query),
        client("PUT", bucket + "/key", query, body=bodies[next(iter(query))]),
    ):
        assert (response.status, response.error_code) == (400, "InvalidRequest")


@pytest.mark.parametrize("query", [RETENTION, LEGAL_HOLD])
def test_what_is_not_there_has_no_lock(client, locked, query):
    bodies = {"retention": retention("GOVERNANCE"), "legal-hold": b"<LegalHold><Status>ON</Status></LegalHold>"}
    body = bodies[next(iter(query))]
    assert client("GET", locked + "/key", query).error_code == "NoSuchKey"
    assert client("PUT", locked + "/key", query, body=body).error_code == "NoSuchKey"
    put(client, locked + "/key")
    marker = client("DELETE", locked + "/key").headers["x-amz-version-id"]
    for version in ({}, {"versionId": marker}):
        for method in ("GET", "PUT"):
            response = client(method, locked + "/key", query | version, body=body if method == "PUT" else None)
            assert (response.status, response.error_code) == (405, "MethodNotAllowed")
            assert response.element("Method") == method
    absent = query | {"versionId": "0" * 32}
    assert client("PUT", locked + "/key", absent, body=body).error_code == "NoSuchVersion"


# Deleting -------------------------------------------------------------------------------------------------------------


def delete_many(client, bucket, entries, headers=None):
    objects = "".join(f"<Object><Key>{key}</Key><VersionId>{version}</VersionId></Object>" for key, version in entries)
    document = f"<Delete>{objects}</Delete>".encode()
    root = parse(client("POST", bucket, {"delete": ""}, md5(document) | (headers or {}), document))
    return texts(root, "Deleted/Key"), [*zip(texts(root, "Error/Key"), texts(root, "Error/Code"), strict=True)]


def test_many_versions_are_each_deleted_as_their_locks_let_them(client, locked):
    free = put(client, locked + "/free")
    governed = put(client, locked + "/governed", headers=asked("GOVERNANCE"))
    fixed = put(client, locked + "/fixed", headers=asked("COMPLIANCE"))
    entries = [("free", free), ("governed", governed), ("fixed", fixed)]
    denied = ("fixed", "AccessDenied")
    assert delete_many(client, locked, entries) == (["free"], [("governed", "AccessDenied"), denied])
    assert delete_many(client, locked, entries[1:], BYPASS) == (["governed"], [denied])
    assert client("GET", locked + "/fixed").body == b"bytes"


def test_a_locked_object_is_hidden_by_a_delete_marker_and_comes_back(client, locked):
    path = locked + "/key"
    version = put(client, path, headers=asked("COMPLIANCE", hold="ON"))
    marker = client("DELETE", path).headers["x-amz-version-id"]
    assert client("GET", path).status == 404
    assert remove(client, path, version) == "AccessDenied"
    # The marker is not locked.
    assert remove(client, path, marker) == ""
    assert client("GET", path).body == b"bytes"
    assert told(client, path) == ("COMPLIANCE", FAR, "ON")


@WAYS
def test_what_is_written_over_a_locked_object_leaves_it_as_it_was(client, locked, how):
    path = locked + "/key"
    version = put(client, path, b"precious", asked("COMPLIANCE"))
    make(how, client, locked)
    assert client("GET", path).body == b"bytes"
    assert client("GET", path, {"versionId": version}).body == b"precious"
    assert remove(client, path, version, BYPASS) == "AccessDenied"


@pytest.mark.parametrize("value", ["false", "", "yes", "1"])
def test_only_true_says_that_governance_is_passed_over(client, locked, value):
    version = put(client, locked + "/key", headers=asked("GOVERNANCE"))
    assert remove(client, locked + "/key", version, {"x-amz-bypass-governance-retention": value}) == "AccessDenied"


# Rights ---------------------------------------------------------------------------------------------------------------


def allow(client, bucket, *statements):
    named = [
        {"Effect": "Allow", "Principal": "*", "Resource": f"arn:aws:s3:::{bucket[1:]}/*", **statement}
        for statement in statements
    ]
    client("DELETE", bucket, {"publicAccessBlock": ""})
    policy = json.dumps({"Version": "2012-10-17", "Statement": named}).encode()
    response = client("PUT", bucket, {"policy": ""}, body=policy)
    assert response.status == 204, response.body


def test_what_is_known_of_a_lock_is_told_to_who_may_know_it(client, bob, locked):
    path = locked + "/key"
    put(client, path, headers=asked("GOVERNANCE", hold="ON"))
    allow(client, locked, {"Action": "s3:GetObject"})
    assert told(bob, path) == told(bob, path, "GET") == (None, None, None)
    assert retained(bob, path) == "AccessDenied"
    assert bob("GET", path, LEGAL_HOLD).error_code == "AccessDenied"
    allow(client, locked, {"Action": ["s3:GetObject", "s3:GetObjectRetention"]})
    assert told(bob, path) == ("GOVERNANCE", FAR, None)
    assert retained(bob, path) == ("GOVERNANCE", FAR)
    allow(client, locked, {"Action": ["s3:GetObject", "s3:GetObjectLegalHold"]})
    assert told(bob, path) == told(bob, path, "GET") == (None, None, "ON")


def test_each_lock_of_a_new_version_needs_its_right(client, bob, locked):
    path = locked + "/key"
    allow(client, locked, {"Action": "s3:PutObject"})
    bob.put(path, b"x", md5(b"x"))
    for headers in (asked("GOVERNANCE"), {HOLD: "ON"}, {HOLD: "OFF"}):
        assert bob("PUT", path, headers=md5(b"x") | headers, body=b"x").error_code == "AccessDenied"
    allow(client, locked, {"Action": ["s3:PutObject", "s3:PutObjectRetention"]})
    bob.put(path, b"x", md5(b"x") | asked("GOVERNANCE"))
    assert bob("PUT", path, headers=md5(b"x") | {HOLD: "ON"}, body=b"x").error_code == "AccessDenied"
    allow(client, locked, {"Action": ["s3:PutObject", "s3:PutObjectLegalHold"]})
    bob.put(path, b"x", md5(b"x") | {HOLD: "ON"})


def test_to_pass_over_governance_needs_its_right(client, bob, locked):
    path = locked + "/key"
    version = put(client, path, headers=asked("GOVERNANCE", FARTHER))
    actions = ["s3:DeleteObjectVersion", "s3:PutObjectRetention", "s3:ListBucketVersions"]
    allow(client, locked, {"Action": actions[:2]})
    assert remove(bob, path, version, BYPASS) == "AccessDenied"
    assert delete_many(bob, locked, [("key", version)], BYPASS) == ([], [("key", "AccessDenied")])
    assert retain(bob, path, "GOVERNANCE", FAR, version, BYPASS).error_code == "AccessDenied"
    assert client("GET", path).status == 200
    allow(client, locked, {"Action": [*actions[:2], "s3:BypassGovernanceRetention"]})
    assert retain(bob, path, "GOVERNANCE", FAR, version, BYPASS).status == 200
    assert delete_many(bob, locked, [("key", version)], BYPASS) == (["key"], [])


def test_a_right_to_pass_over_governance_holds_for_the_keys_that_it_names(client, bob, locked):
    mine, other = (
        put(client, locked + "/mine", headers=asked("GOVERNANCE")),
        put(client, locked + "/other", headers=asked("GOVERNANCE")),
    )
    resource = f"arn:aws:s3:::{locked[1:]}/mine"
    allow(
        client,
        locked,
        {"Action": "s3:DeleteObjectVersion"},
        {"Action": "s3:BypassGovernanceRetention", "Resource": resource},
    )
    entries = [("mine", mine), ("other", other)]
    assert delete_many(bob, locked, entries, BYPASS) == (["mine"], [("other", "AccessDenied")])


def test_reading_is_not_locking(daemon, client, locked):
    reader = daemon.client(READER)
    put(client, locked + "/key")
    assert retain(reader, locked + "/key", "GOVERNANCE").error_code == "AccessDenied"
    assert hold(reader, locked + "/key", "ON").error_code == "AccessDenied"
    assert configure(reader, locked).error_code == "AccessDenied"
    assert reader("GET", locked, CONFIGURATION).status == 200


def test_to_make_a_bucket_with_object_lock_is_not_for_everybody(daemon, bob, nobody):
    assert nobody("PUT", "/new", headers=LOCKED).error_code == "AccessDenied"
    assert bob("PUT", "/new", headers=LOCKED).status == 200
    assert daemon.client()("GET", "/new", CONFIGURATION).error_code == "AccessDenied"


def test_who_owns_the_bucket_locks_what_others_wrote_into_it(tmp_path):
    daemon = Daemon(tmp_path, ownership=WRITER)
    try:
        alice, bob = daemon.client(ALICE), daemon.client(BOB)
        alice.put("/shared", headers=LOCKED)
        allow(alice, "/shared", {"Action": "s3:PutObject"})
        version = put(bob, "/shared/key")
        assert (
            bob("PUT", "/shared/key", headers=md5(b"x") | asked("COMPLIANCE"), body=b"x").error_code == "AccessDenied"
        )
        # Nor later: nobody makes her keep what she does not want to.
        assert retain(bob, "/shared/key", "COMPLIANCE").error_code == "AccessDenied"
        assert hold(bob, "/shared/key", "ON").error_code == "AccessDenied"
        assert retain(alice, "/shared/key", "GOVERNANCE", version=version).status == 200
        assert retained(bob, "/shared/key", version) == ("GOVERNANCE", FAR)
        assert retained(alice, "/shared/key", version) == ("GOVERNANCE", FAR)
        assert remove(alice, "/shared/key", version) == "AccessDenied"
        assert remove(bob, "/shared/key", version, BYPASS) == "AccessDenied"
        assert remove(alice, "/shared/key", version, BYPASS) == ""
        version = put(bob, "/shared/key")
        allow(alice, "/shared", {"Action": "s3:PutObjectRetention"})
        assert retain(bob, "/shared/key", "GOVERNANCE", version=version).status == 200
    finally:
        daemon.stop()


def days_from_now(days):
    return datetime.fromtimestamp(time.time() + days * 86_400 - 60, UTC).isoformat()


LIMIT = {"NumericLessThanEquals": {"s3:object-lock-remaining-retention-days": "10"}}


def test_policies_limit_the_retention_that_headers_ask_for(client, bob, locked):
    actions = ["s3:PutObject", "s3:PutObjectRetention"]
    allow(client, locked, {"Action": actions[0]}, {"Action": actions[1], "Condition": LIMIT})
    path = locked + "/key"
    bob.put(path, b"x", md5(b"x") | asked("GOVERNANCE", days_from_now(10)))
    headers = md5(b"x") | asked("GOVERNANCE", days_from_now(11))
    assert bob("PUT", path, headers=headers, body=b"x").error_code == "AccessDenied"


def test_policies_limit_the_retention_that_a_document_asks_for(client, bob, locked):
    path = locked + "/key"
    put(client, path)
    allow(client, locked, {"Action": "s3:PutObjectRetention", "Condition": LIMIT})
    assert retain(bob, path, "GOVERNANCE", days_from_now(11)).error_code == "AccessDenied"
    assert retain(bob, path, "GOVERNANCE", days_from_now(9)).status == 200
    assert retain(bob, path, "", headers=BYPASS).error_code == "AccessDenied"


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        ({"StringEquals": {"s3:object-lock-mode": "COMPLIANCE"}}, True),
        ({"StringEquals": {"s3:object-lock-mode": "GOVERNANCE"}}, False),
        ({"DateLessThan": {"s3:object-lock-retain-until-date": "2099-06-01T00:00:00Z"}}, True),
        ({"DateLessThan": {"s3:object-lock-retain-until-date": "2098-06-01T00:00:00Z"}}, False),
        ({"StringEquals": {"s3:object-lock-legal-hold": "ON"}}, False),
        ({"Null": {"s3:object-lock-legal-hold": "true"}}, True),
    ],
)
def test_policies_are_told_what_is_asked_for(client, bob, locked, condition, allowed):
    path = locked + "/key"
    put(client, path)
    allow(client, locked, {"Action": "s3:PutObject"}, {"Action": "s3:PutObjectRetention", "Condition": condition})
    code = "" if allowed else "AccessDenied"
    assert bob("PUT", path, headers=md5(b"x") | asked("COMPLIANCE"), body=b"x").error_code == code
    assert retain(bob, path, "COMPLIANCE").error_code == code


def test_policies_are_told_of_the_legal_hold_that_is_asked_for(client, bob, locked):
    path = locked + "/key"
    put(client, path)
    only = {"StringEquals": {"s3:object-lock-legal-hold": "ON"}}
    allow(client, locked, {"Action": "s3:PutObject"}, {"Action": "s3:PutObjectLegalHold", "Condition": only})
    assert hold(bob, path, "ON").status == 200
    assert hold(bob, path, "OFF").error_code == "AccessDenied"
    assert bob("PUT", path, headers=md5(b"x") | {HOLD: "OFF"}, body=b"x").error_code == "AccessDenied"
    bob.put(path, b"x", md5(b"x") | {HOLD: "ON"})
    assert client("GET", path, LEGAL_HOLD).element("Status") == "ON"


def test_a_denial_that_depends_on_the_document_is_of_what_it_asks(client, bob, locked):
    path = locked + "/key"
    put(client, path)
    forever = {
        "Effect": "Deny",
        "Action": "s3:PutObjectRetention",
        "Condition": {"StringEquals": {"s3:object-lock-mode": "COMPLIANCE"}},
    }
    allow(client, locked, {"Action": "s3:PutObjectRetention"}, forever)
    assert retain(bob, path, "COMPLIANCE").error_code == "AccessDenied"
    # Of the owner's account, too.
    assert retain(client, path, "COMPLIANCE").error_code == "AccessDenied"
    assert retain(bob, path, "GOVERNANCE").status == 200


def test_a_url_does_not_pass_over_governance_unless_that_was_signed(client, locked):
    path = locked + "/key"
    version = put(client, path, headers=asked("GOVERNANCE"))
    for url, headers in (
        (client.presigned("DELETE", path, {"versionId": version}), BYPASS),
        (client.presigned("DELETE", path, {"versionId": version}) + "&x-amz-bypass-governance-retention=true", {}),
    ):
        response = client.connection.request("DELETE", url, headers)
        assert response.status == 403
        assert client("GET", path).status == 200
    url = client.presigned("DELETE", path, {"versionId": version, **BYPASS})
    assert client.connection.request("DELETE", url).status == 204


def test_a_url_does_not_lock_unless_that_was_signed(client, locked):
    url = client.presigned("PUT", locked + "/key")
    headers = md5(b"x") | asked("COMPLIANCE")
    assert client.connection.request("PUT", url, headers, b"x").status == 403
    assert client.connection.request("PUT", url, md5(b"x"), b"x").status == 200
    assert told(client, locked + "/key") == (None, None, None)
