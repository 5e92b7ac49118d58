"""ListObjects, ListObjectsV2, ListObjectVersions."""

import pytest

from tests.wire.daemon import OWNER_ID, parse, texts

KEYS = ["a", "b/1", "b/2", "b/3/x", "c d+e", "ü", "𝄞"]


@pytest.fixture
def filled(client, bucket):
    for key in KEYS:
        client.put(f"{bucket}/{key}", key.encode())
    return bucket


def keys(root):
    return texts(root, "Contents/Key")


def prefixes(root):
    return texts(root, "CommonPrefixes/Prefix")


def test_both_versions_list_all_keys_in_byte_order(client, filled):
    for query in ({}, {"list-type": "2"}):
        root = parse(client("GET", filled, query))
        assert keys(root) == KEYS
        assert root.findtext("IsTruncated") == "false"
        assert root.findtext("MaxKeys") == "1000"
        assert root.findtext("Name") == "photos"


def test_an_entry_says_what_there_is_to_know(client, filled):
    head = client("HEAD", filled + "/a").headers
    entry = parse(client("GET", filled)).find("Contents")
    assert entry.findtext("ETag") == head["etag"]
    assert entry.findtext("Size") == "1"
    assert entry.findtext("StorageClass") == "STANDARD"
    assert entry.findtext("LastModified").endswith(".000Z")


def test_the_owner_is_told_by_version_1_and_on_request(client, filled):
    assert texts(parse(client("GET", filled)), "Contents/Owner/ID") == [OWNER_ID] * len(KEYS)
    assert texts(parse(client("GET", filled, {"list-type": "2"})), "Contents/Owner/ID") == []
    root = parse(client("GET", filled, {"list-type": "2", "fetch-owner": "true"}))
    assert texts(root, "Contents/Owner/DisplayName") == ["default"] * len(KEYS)


def test_a_delimiter_rolls_keys_up(client, filled):
    root = parse(client("GET", filled, {"delimiter": "/"}))
    assert (keys(root), prefixes(root)) == (["a", "c d+e", "ü", "𝄞"], ["b/"])
    assert root.findtext("Delimiter") == "/"
    root = parse(client("GET", filled, {"delimiter": "/", "prefix": "b/", "list-type": "2"}))
    assert (keys(root), prefixes(root)) == (["b/1", "b/2"], ["b/3/"])
    assert (root.findtext("Prefix"), root.findtext("KeyCount")) == ("b/", "3")


def test_an_empty_delimiter_is_none(client, filled):
    for query in ({"delimiter": ""}, {"delimiter": "", "list-type": "2"}):
        root = parse(client("GET", filled, query))
        assert root.find("Delimiter") is None
        assert keys(root) == KEYS


@pytest.mark.parametrize("delimiter", ["", "/"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_version_1_goes_on_after_its_marker(client, filled, size, delimiter):
    whole = parse(client("GET", filled, {"delimiter": delimiter}))
    found, marker = [], ""
    while True:
        root = parse(client("GET", filled, {"max-keys": str(size), "marker": marker, "delimiter": delimiter}))
        page = keys(root) + prefixes(root)
        assert len(page) <= size
        assert root.findtext("Marker") == marker
        found += page
        if root.findtext("IsTruncated") == "false":
            assert root.find("NextMarker") is None
            break
        # S3 tells the next marker only where there is a delimiter; else it is the last key.
        assert (root.find("NextMarker") is not None) == bool(delimiter)
        marker = root.findtext("NextMarker") or keys(root)[-1]
    assert sorted(found) == sorted(keys(whole) + prefixes(whole))


@pytest.mark.parametrize("delimiter", ["", "/"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_version_2_goes_on_with_its_token(client, filled, size, delimiter):
    whole = parse(client("GET", filled, {"delimiter": delimiter}))
    found, query = [], {"list-type": "2", "max-keys": str(size), "delimiter": delimiter}
    while True:
        root = parse(client("GET", filled, query))
        page = keys(root) + prefixes(root)
        assert root.findtext("KeyCount") == str(len(page))
        found += page
        if root.findtext("IsTruncated") == "false":
            assert root.find("NextContinuationToken") is None
            break
        token = root.findtext("NextContinuationToken")
        # It is opaque: no key shows in it.
        assert token not in KEYS
        query["continuation-token"] = token
    assert sorted(found) == sorted(keys(whole) + prefixes(whole))


def test_the_token_overrules_the_start(client, filled):
    first = parse(client("GET", filled, {"list-type": "2", "start-after": "a", "max-keys": "1"}))
    assert (keys(first), first.findtext("StartAfter")) == (["b/1"], "a")
    token = first.findtext("NextContinuationToken")
    second = parse(client("GET", filled, {"list-type": "2", "start-after": "a", "continuation-token": token}))
    assert keys(second) == KEYS[2:]
    assert second.findtext("ContinuationToken") == token


def test_an_empty_token_begins_at_the_beginning(client, filled):
    root = parse(client("GET", filled, {"list-type": "2", "continuation-token": ""}))
    assert root.find("ContinuationToken").text is None
    assert keys(root) == KEYS


def test_names_may_be_asked_for_in_url_encoding(client, filled):
    query = {"encoding-type": "url", "delimiter": "/", "prefix": "c ", "marker": "b +"}
    root = parse(client("GET", filled, query))
    assert keys(root) == ["c%20d%2Be"]
    assert root.findtext("EncodingType") == "url"
    assert (root.findtext("Prefix"), root.findtext("Marker")) == ("c%20", "b%20%2B")
    root = parse(client("GET", filled, {"encoding-type": "url", "list-type": "2", "start-after": "c d"}))
    assert keys(root) == ["c%20d%2Be", "%C3%BC", "%F0%9D%84%9E"]
    assert root.findtext("StartAfter") == "c%20d"


def test_no_keys_may_be_asked_for(client, filled):
    for query in ({"max-keys": "0"}, {"max-keys": "0", "list-type": "2"}):
        root = parse(client("GET", filled, query))
        assert (keys(root), root.findtext("IsTruncated"), root.findtext("MaxKeys")) == ([], "false", "0")


def test_no_more_than_1000_are_given(client, filled):
    assert parse(client("GET", filled, {"max-keys": "5000"})).findtext("MaxKeys") == "1000"


@pytest.mark.parametrize(
    "query",
    [
        {"max-keys": "-1"},
        {"max-keys": "blah"},
        {"max-keys": "2147483648"},
        {"encoding-type": "base64"},
        {"list-type": "3"},
        {"list-type": "2", "continuation-token": "nonsense"},
        {"versions": "", "version-id-marker": "null"},
        {"versions": "", "key-marker": "a", "version-id-marker": "other"},
    ],
)
def test_a_wrong_parameter_is_refused(client, filled, query):
    response = client("GET", filled, query)
    assert (response.status, response.error_code) == (400, "InvalidArgument")


@pytest.mark.parametrize("text", ["\n", "\x01<&", "\uffff", "x" * 2000])
def test_a_prefix_that_no_key_has_finds_nothing(client, filled, text):
    for query in ({"prefix": text}, {"prefix": text, "encoding-type": "url"}, {"marker": text, "prefix": text}):
        assert keys(parse(client("GET", filled, query))) == []


def test_every_object_is_its_own_only_version(client, filled):
    root = parse(client("GET", filled, {"versions": ""}))
    assert texts(root, "Version/Key") == KEYS
    assert texts(root, "Version/VersionId") == ["null"] * len(KEYS)
    assert texts(root, "Version/IsLatest") == ["true"] * len(KEYS)
    assert texts(root, "Version/Owner/ID") == [OWNER_ID] * len(KEYS)


def test_versions_are_listed_in_pages(client, filled):
    found, query = [], {"versions": "", "max-keys": "2", "delimiter": "/"}
    while True:
        root = parse(client("GET", filled, query))
        found += texts(root, "Version/Key") + prefixes(root)
        if root.findtext("IsTruncated") == "false":
            break
        query["key-marker"] = root.findtext("NextKeyMarker")
        query.pop("version-id-marker", None)
        if root.find("NextVersionIdMarker") is not None:
            query["version-id-marker"] = root.findtext("NextVersionIdMarker")
    assert sorted(found) == sorted(["a", "b/", "c d+e", "ü", "𝄞"])


def test_a_listing_of_no_bucket_fails(client):
    for query in ({}, {"list-type": "2"}, {"versions": ""}):
        assert client("GET", "/absent", query).error_code == "NoSuchBucket"
