"""What is configured of a bucket belongs to it, and is changed as one step."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.support import Client, fired, told_now
from zs3.errors import S3Error

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def configuration(client: Client, bucket: str = "bucket") -> dict[str, Any]:
    """Asked in every way there is."""
    found = dict(fired(client.store.get_configuration(bucket)))
    assert dict(fired(client.store.get_bucket(bucket)).configuration) == found
    assert told_now(client, bucket) in (None, found)
    listed = {info.name: dict(info.configuration) for info in fired(client.store.list_buckets())}
    assert listed[bucket] == found
    return found


def test_nothing_is_configured_of_a_new_bucket(client: Client) -> None:
    assert configuration(client) == {}


def test_what_is_configured_stays_until_it_is_changed(client: Client) -> None:
    assert client.configure(tags=[["a", "b"]]) == {"tags": [["a", "b"]]}
    assert client.configure(owner="me") == {"tags": [["a", "b"]], "owner": "me"}
    assert configuration(client) == {"tags": [["a", "b"]], "owner": "me"}
    assert client.configure(tags=None) == configuration(client) == {"owner": "me"}
    assert client.configure(owner=None) == configuration(client) == {}


@given(values=st.dictionaries(st.text(), VALUES))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_any_json_comes_back_as_it_was(client: Client, values: dict[str, Any]) -> None:
    def change(configured: dict[str, Any]) -> None:
        configured.clear()
        configured.update(values)

    fired(client.store.change_configuration("bucket", change))
    assert configuration(client) == values


def test_a_change_that_fails_changes_nothing(client: Client) -> None:
    client.configure(tags=["old"])

    def change(configured: dict[str, Any]) -> None:
        configured["tags"].append("new")
        raise S3Error("MalformedXML")

    with pytest.raises(S3Error, match="MalformedXML"):
        fired(client.store.change_configuration("bucket", change))
    assert configuration(client) == {"tags": ["old"]}


def test_a_bucket_is_created_with_its_configuration(client: Client) -> None:
    info = fired(client.store.create_bucket("other", {"owner": "me"}))
    assert dict(info.configuration) == configuration(client, "other") == {"owner": "me"}
    with pytest.raises(S3Error, match="BucketAlreadyOwnedByYou"):
        fired(client.store.create_bucket("other", {"owner": "you"}))
    assert configuration(client, "other") == {"owner": "me"}
    client.put("key", bucket="other")
    assert configuration(client, "other") == {"owner": "me"}


def test_a_deleted_bucket_leaves_nothing_to_the_next_of_its_name(client: Client) -> None:
    client.configure(tags=["old"])
    fired(client.store.delete_bucket("bucket"))
    for work in (client.store.get_configuration("bucket"), client.store.change_configuration("bucket", lambda _: None)):
        with pytest.raises(S3Error, match="NoSuchBucket"):
            fired(work)
    fired(client.store.create_bucket("bucket"))
    assert configuration(client) == {}
