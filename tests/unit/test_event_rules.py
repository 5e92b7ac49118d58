"""The rules of event notifications, and the records."""

import itertools
import json
import time
from dataclasses import replace
from urllib.parse import unquote_plus

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs3.errors import S3Error
from zs3.events.records import OUTSIDE, Event, encode, message, record, sequencer
from zs3.events.rules import NAMES, Rule, kept, names_event, overlapping, rules_of
from zs3.web.notificationxml import document, parse

ARN = "arn:aws:sqs:us-east-1:000000000000:hook"
TOPIC = "arn:aws:sns:us-east-1:000000000000:hook"
TEXT = st.text("ab", max_size=3)
RULES = st.builds(
    Rule,
    st.text(min_size=1),
    st.sampled_from(("Queue", "Topic")),
    st.just(ARN),
    st.lists(st.sampled_from(sorted(NAMES)), min_size=1, max_size=3, unique=True).map(tuple),
    st.none() | TEXT,
    st.none() | TEXT,
)
LEAVES = sorted(name.removeprefix("s3:") for name in NAMES if not name.endswith("*"))


def test_all_events_of_the_api_can_be_named():
    assert set(botocore.session.get_session().get_service_model("s3").shape_for("Event").enum) == NAMES


@given(RULES, RULES, st.sampled_from(LEAVES), st.text("ab", min_size=1, max_size=6))
def test_an_event_of_two_rules_is_of_rules_that_overlap(one, other, event, key):
    if one.is_about(event, key) and other.is_about(event, key):
        assert one.overlaps(other)
        assert overlapping([one, other]) == (one, other)


@given(RULES, RULES)
def test_rules_that_overlap_have_an_event_in_common(one, other):
    keys = ("".join(each) for size in range(7) for each in itertools.product("ab", repeat=size))
    common = any(one.is_about(event, key) and other.is_about(event, key) for key in keys for event in LEAVES)
    assert one.overlaps(other) == other.overlaps(one) == common


def test_many_rules_of_many_events_hold_up_nobody():
    names = sorted(name for name in NAMES if not name.endswith("*"))
    halves = (tuple(names[::2]), tuple(names[1::2]))
    rules = [Rule(f"{n} {half[0]}", "Queue", ARN, half, f"{n}/") for half in halves for n in range(50)]
    # 2 ms; each event with each of the others took 300.
    began = time.process_time()
    assert overlapping(rules) is None
    assert time.process_time() - began < 0.1


@pytest.mark.parametrize(
    ("names", "event", "found"),
    [
        (["s3:ObjectCreated:*"], "ObjectCreated:Put", True),
        (["s3:ObjectCreated:Put"], "ObjectCreated:Put", True),
        (["s3:ObjectCreated:Put"], "ObjectCreated:Post", False),
        (["s3:ObjectRemoved:*"], "ObjectCreated:Put", False),
    ],
)
def test_names_and_wildcards(names, event, found):
    assert names_event(names, event) == found


@given(st.lists(RULES))
def test_what_is_kept_of_rules_gives_them_back(rules):
    configuration = {"notification": json.loads(json.dumps(kept(rules)))}
    assert list(rules_of(configuration)) == rules


@pytest.mark.parametrize("damaged", [[1], [{}], [{"events": []}], 7, [{"events": None}]])
def test_a_damaged_configuration_is_told(damaged):
    with pytest.raises(ValueError, match="damaged"):
        list(rules_of({"notification": damaged}))


def made(event, at_ns=1_767_323_045_678_000_000):
    return record(event, region="eu-x", owner="default", rule_id="r", at_ns=at_ns)


def test_a_record_is_as_s3_makes_it():
    event = Event("ObjectCreated:Put", "photos", "a b/ü+.jpg", OUTSIDE, 5, "abc", "v1")
    found = made(event)
    assert found["eventVersion"] == "2.1"
    assert (found["eventSource"], found["awsRegion"], found["eventName"]) == ("aws:s3", "eu-x", "ObjectCreated:Put")
    assert found["eventTime"] == "2026-01-02T03:04:05.678Z"
    assert found["userIdentity"] == {"principalId": "zs3:outside"}
    assert found["s3"]["bucket"]["arn"] == "arn:aws:s3:::photos"
    about = found["s3"]["object"]
    assert about["key"] == "a+b/%C3%BC%2B.jpg"
    assert unquote_plus(about["key"]) == event.key
    assert (about["size"], about["eTag"], about["versionId"]) == (5, "abc", "v1")


def test_a_record_of_what_is_no_more_has_no_size():
    about = made(Event("ObjectRemoved:Delete", "photos", "a", OUTSIDE))["s3"]["object"]
    assert about.keys() == {"key", "sequencer"}


@given(st.integers(0, 2**63), st.integers(0, 2**63))
def test_sequencers_sort_as_their_times(one, other):
    assert (sequencer(one) < sequencer(other)) == (one < other)


def test_a_message_holds_its_records():
    records = [encode({"n": n, "t": "ü\n"}) for n in range(3)]
    assert b"\n" not in b"".join(records)
    assert json.loads(message(records)) == {"Records": [{"n": n, "t": "ü\n"} for n in range(3)]}


# As a document


@given(st.lists(RULES, max_size=4, unique_by=lambda rule: rule.id))
def test_a_document_tells_all_of_the_rules_that_it_is_made_of(rules):
    rules = [replace(rule, id=str(n), arn=ARN if rule.kind == "Queue" else TOPIC) for n, rule in enumerate(rules)]
    if overlapping(rules) is None:
        found = parse(document(rules), {"hook"})
        assert sorted(found, key=lambda rule: rule.id) == sorted(rules, key=lambda rule: rule.id)
    else:
        with pytest.raises(S3Error, match="overlap"):
            parse(document(rules), {"hook"})


@pytest.mark.parametrize(
    "arn", ["arn:aws:sqs:::hook", "arn:aws:sqs:eu-central-1:123456789012:hook", "arn:aws-cn:sqs:cn-north-1::hook"]
)
def test_the_region_and_the_account_of_an_arn_do_not_matter(arn):
    rule = Rule("r", "Queue", arn, ("s3:ObjectAcl:Put",))
    assert parse(document([rule]), {"hook"}) == (rule,)
    assert rule.target == "hook"
