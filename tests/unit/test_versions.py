"""What requests and answers say of versions."""

import pytest

from zs3.errors import S3Error
from zs3.store.values import DeleteMarkerError, Deletion, ObjectInfo
from zs3.web.versions import (
    about_marker,
    check_version,
    deletion_headers,
    kept_header,
    parse_versioning,
    version_header,
)

VERSION = "0123456789abcdef" * 2


def configuration(*elements):
    return f"<VersioningConfiguration>{''.join(elements)}</VersioningConfiguration>".encode()


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
@pytest.mark.parametrize("mfa", ["", "<MfaDelete>Disabled</MfaDelete>"])
def test_a_configuration_says_enabled_or_suspended(status, mfa):
    assert parse_versioning(configuration(f"<Status>{status}</Status>", mfa)) == status


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MalformedXML"),
        (b"<x/>", "MalformedXML"),
        (configuration(), "IllegalVersioningConfigurationException"),
        (configuration("<MfaDelete>Disabled</MfaDelete>"), "IllegalVersioningConfigurationException"),
        (configuration("<Status>On</Status>"), "MalformedXML"),
        (configuration("<Status/>"), "MalformedXML"),
        (configuration("<Status>enabled</Status>"), "MalformedXML"),
        (configuration("<Status>Enabled</Status><Status>Suspended</Status>"), "MalformedXML"),
        (configuration("<Status>Enabled</Status><Other/>"), "MalformedXML"),
        (configuration("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>"), "NotImplemented"),
        (configuration("<Status>Enabled</Status><MfaDelete>x</MfaDelete>"), "MalformedXML"),
    ],
)
def test_another_configuration_is_refused(body, code):
    with pytest.raises(S3Error) as caught:
        parse_versioning(body)
    assert caught.value.code == code


def test_a_version_id_has_its_form():
    for version in ("null", VERSION, "eW.oe6uQXcWqAJLfTPC9dh1pmcNR_4RW"):
        assert check_version(version) == version
    for text in ("", "NULL", VERSION[:-1], VERSION + "0", VERSION[:-1] + "/", VERSION[:-1] + "\n", "ü" * 32):
        with pytest.raises(S3Error, match="InvalidArgument"):
            check_version(text)


def test_a_version_is_told_where_versions_are_or_were_kept():
    assert version_header({}, "null") == {}
    for state in ("Enabled", "Suspended"):
        assert version_header({"versioning": state}, "null") == {"x-amz-version-id": "null"}
        assert version_header({"versioning": state}, VERSION) == {"x-amz-version-id": VERSION}
    # Files of others have one everywhere.
    assert version_header({}, VERSION) == {}
    # AWS tells an upload no more than that.
    assert kept_header(VERSION) == {"x-amz-version-id": VERSION}
    assert kept_header("null") == {}


@pytest.mark.parametrize(
    ("deletion", "version", "headers"),
    [
        (Deletion(True), "", {}),
        (Deletion(False), "", {}),
        (Deletion(False), "null", {"x-amz-version-id": "null"}),
        (Deletion(True, VERSION, True), "", {"x-amz-version-id": VERSION, "x-amz-delete-marker": "true"}),
        (Deletion(True, VERSION, True), VERSION, {"x-amz-version-id": VERSION, "x-amz-delete-marker": "true"}),
        (Deletion(True, VERSION), VERSION, {"x-amz-version-id": VERSION}),
        (Deletion(False), VERSION, {"x-amz-version-id": VERSION}),
    ],
)
def test_a_deletion_says_what_it_did(deletion, version, headers):
    assert deletion_headers(deletion, version) == headers


@pytest.mark.parametrize(
    ("method", "subresource", "code"),
    [
        ("GET", "", "NoSuchKey"),
        ("HEAD", "", "NoSuchKey"),
        ("GET", "acl", "NoSuchKey"),
        ("GET", "attributes", "NoSuchKey"),
        ("PUT", "acl", "MethodNotAllowed"),
        ("GET", "tagging", "MethodNotAllowed"),
        ("PUT", "tagging", "MethodNotAllowed"),
        ("DELETE", "tagging", "MethodNotAllowed"),
    ],
)
def test_an_error_tells_of_the_marker(method, subresource, code):
    """As AWS answers, of the marker that is current."""
    marker = ObjectInfo("key", 0, 10**18, "", version=VERSION, is_delete_marker=True)
    told = {"x-amz-delete-marker": "true", "x-amz-version-id": VERSION}
    more = {"Allow": "DELETE", "Last-Modified": "Sun, 09 Sep 2001 01:46:40 GMT"}
    for current in (True, False):
        error = about_marker(DeleteMarkerError(marker, current=current), method, subresource)
        assert error.code == (code if current else "MethodNotAllowed")
        assert error.headers == (told if error.code == "NoSuchKey" else {**told, **more})
        if error.code == "MethodNotAllowed":
            assert error.fields == {"Method": method, "ResourceType": "DeleteMarker"}
