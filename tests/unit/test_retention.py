"""The rules of Object Lock."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs3.errors import S3Error
from zs3.store.values import COMPLIANCE, GOVERNANCE, NOT_LOCKED, OBJECT_LOCK, Lock
from zs3.web import retention
from zs3.web.retention import BucketLock, DefaultRetention, GarbledError

MS = 1_000_000
NS = 1_000_000_000
DAY = 24 * 60 * 60 * NS


def ns(year, month, day, *time):
    return int(datetime(year, month, day, *time, tzinfo=UTC).timestamp()) * NS


NOW = ns(2026, 1, 2)

times = st.integers(0, 253_402_300_799_999).map(lambda ms: ms * MS)
modes = st.sampled_from((GOVERNANCE, COMPLIANCE))
defaults = st.one_of(
    st.builds(DefaultRetention, modes, days=st.integers(1, 36_500)),
    st.builds(DefaultRetention, modes, years=st.integers(1, 100)),
)
bucket_locks = st.builds(BucketLock, st.none() | defaults)


# Dates ----------------------------------------------------------------------------------------------------------------


@given(times)
def test_what_is_told_of_a_date_is_what_is_kept_of_it(when):
    assert retention.parse_date(retention.lock_date(when)) == when


_FIRST, _END = datetime(1970, 1, 2), datetime(9999, 12, 30)  # noqa: DTZ001 - hypothesis wants them so


@given(st.datetimes(_FIRST, _END, timezones=st.just(UTC)), st.integers(0, 999))
def test_nothing_is_kept_for_less_than_was_asked(when, finer):
    asked = int(when.replace(microsecond=0).timestamp()) * NS + when.microsecond * 1000 + finer
    kept = retention.parse_date(f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond:06}{finer:03}Z")
    assert asked <= kept < asked + MS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2030-01-01T00:00:00Z", ns(2030, 1, 1)),
        ("2030-01-01T00:00:00.000Z", ns(2030, 1, 1)),
        ("2030-01-01T00:00:00.25Z", ns(2030, 1, 1) + 250 * MS),
        ("2030-01-01T00:00:00.0000001Z", ns(2030, 1, 1) + MS),
        ("2030-01-01T02:00:00+02:00", ns(2030, 1, 1)),
        ("2029-12-31T19:00:00-05:00", ns(2030, 1, 1)),
        ("2030-01-01T00:00:00", None),
        ("2030-01-01", None),
        ("2030-02-30T00:00:00Z", None),
        ("2030-01-01T24:00:01Z", None),
        ("2030-01-01T00:00:00+99:00", None),
        ("0000-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59-23:00", None),
        ("06/06/2030", None),
        ("", None),
        ("20३0-01-01T00:00:00Z", None),
    ],
)
def test_a_date_is_one_of_iso_8601_with_its_zone(text, expected):
    assert retention.parse_date(text) == expected


@given(st.integers())
def test_whatever_is_in_a_record_has_the_form_of_a_date(when):
    assert retention.parse_date(retention.lock_date(when)) is not None


# Buckets --------------------------------------------------------------------------------------------------------------


def xml_of(rule="", enabled="<ObjectLockEnabled>Enabled</ObjectLockEnabled>"):
    return f"<ObjectLockConfiguration>{enabled}{rule}</ObjectLockConfiguration>".encode()


def rule_of(inner):
    return xml_of(f"<Rule><DefaultRetention>{inner}</DefaultRetention></Rule>")


@given(bucket_locks)
def test_a_configuration_is_the_same_as_it_is_told_and_as_it_is_kept(lock):
    assert retention.parse_configuration(retention.configuration_document(lock)) == lock
    assert retention.bucket_lock({OBJECT_LOCK: lock.configured}) == lock


def test_a_bucket_that_has_nothing_configured_has_no_lock():
    assert retention.bucket_lock({"versioning": "Enabled"}) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
nearly = st.fixed_dictionaries(
    {"mode": modes | json_values}, optional={"days": json_values, "years": json_values, "more": json_values}
)


@given(json_values | nearly)
def test_what_cannot_be_understood_is_never_no_lock(value):
    try:
        lock = retention.bucket_lock({OBJECT_LOCK: value})
    except GarbledError:
        return
    assert lock.configured == value


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (xml_of(enabled=""), "MalformedXML"),
        (xml_of(enabled="<ObjectLockEnabled>Disabled</ObjectLockEnabled>"), "MalformedXML"),
        (xml_of("<Rule/>"), "MalformedXML"),
        (xml_of("<Other/>"), "MalformedXML"),
        (rule_of(""), "MalformedXML"),
        (rule_of("<Mode>GOVERNANCE</Mode>"), "MalformedXML"),
        (rule_of("<Days>1</Days>"), "MalformedXML"),
        (rule_of("<Mode>governance</Mode><Days>1</Days>"), "MalformedXML"),
        (rule_of("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>"), "MalformedXML"),
        (rule_of("<Mode>GOVERNANCE</Mode><Days>many</Days>"), "MalformedXML"),
        (rule_of("<Mode>GOVERNANCE</Mode><Days>0</Days>"), "InvalidArgument"),
        (rule_of("<Mode>GOVERNANCE</Mode><Years>-1</Years>"), "InvalidArgument"),
        (rule_of("<Mode>GOVERNANCE</Mode><Days>36501</Days>"), "InvalidArgument"),
        (rule_of("<Mode>GOVERNANCE</Mode><Years>101</Years>"), "InvalidArgument"),
        (rule_of("<DefaultEventHold><Days>1</Days></DefaultEventHold>"), "NotImplemented"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(body, code):
    with pytest.raises(S3Error) as caught:
        retention.parse_configuration(body)
    assert caught.value.code == code


def test_a_default_retention_counts_from_now():
    assert DefaultRetention(GOVERNANCE, days=2).lock(NOW + 1) == Lock(GOVERNANCE, NOW + MS + 2 * DAY)
    assert DefaultRetention(COMPLIANCE, years=1).lock(NOW) == Lock(COMPLIANCE, ns(2027, 1, 2))
    assert DefaultRetention(COMPLIANCE, years=1).lock(ns(2028, 2, 29, 5)) == Lock(COMPLIANCE, ns(2029, 3, 1, 5))


@given(defaults, st.integers(NOW, ns(2200, 1, 1)))
def test_a_default_retention_is_at_least_as_long_as_it_says(default, now):
    lock = default.lock(now)
    assert lock.until_ns - now >= (default.days + 365 * default.years) * DAY
    assert retention.parse_date(retention.lock_date(lock.until_ns)) == lock.until_ns


# Versions -------------------------------------------------------------------------------------------------------------


def of_headers(mode=None, until=None, hold=None):
    headers = {retention.MODE: mode, retention.UNTIL: until, retention.LEGAL_HOLD: hold}
    return retention.requested_lock(headers.get, NOW)


def test_headers_ask_for_a_retention_a_legal_hold_or_both():
    asked = Lock(GOVERNANCE, ns(2030, 1, 1))
    assert of_headers() == (None, None)
    assert of_headers("GOVERNANCE", "2030-01-01T00:00:00Z") == (asked, None)
    assert of_headers("GOVERNANCE", "2030-01-01T00:00:00Z", "ON") == (asked, True)
    assert of_headers(hold="OFF") == (None, False)


@pytest.mark.parametrize(
    ("mode", "until", "hold"),
    [
        ("GOVERNANCE", None, None),
        (None, "2030-01-01T00:00:00Z", None),
        ("governance", "2030-01-01T00:00:00Z", None),
        ("", "2030-01-01T00:00:00Z", None),
        ("GOVERNANCE", "soon", None),
        ("GOVERNANCE", "", None),
        ("GOVERNANCE", "2026-01-02T00:00:00Z", None),
        ("GOVERNANCE", "2030-01-01T00:00:00Z", "on"),
        (None, None, ""),
    ],
)
def test_headers_that_cannot_be_meant_are_refused(mode, until, hold):
    with pytest.raises(S3Error) as caught:
        of_headers(mode, until, hold)
    assert caught.value.code == "InvalidArgument"


def retention_xml(inner):
    return f"<Retention>{inner}</Retention>".encode()


def test_a_retention_is_read_as_it_is_told():
    lock = Lock(COMPLIANCE, ns(2030, 1, 1) + 5 * MS)
    assert retention.parse_retention(retention.retention_document(lock), NOW) == lock
    assert retention.parse_retention(b"<Retention/>", NOW) == NOT_LOCKED
    assert retention.parse_retention(retention_xml("<Mode/><RetainUntilDate/>"), NOW) == NOT_LOCKED


@pytest.mark.parametrize(
    ("inner", "code"),
    [
        ("<Mode>GOVERNANCE</Mode>", "MalformedXML"),
        ("<RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate>", "MalformedXML"),
        ("<Mode>abc</Mode><RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate>", "MalformedXML"),
        ("<Mode>GOVERNANCE</Mode><RetainUntilDate>soon</RetainUntilDate>", "MalformedXML"),
        ("<Mode>GOVERNANCE</Mode><RetainUntilDate>2026-01-02T00:00:00Z</RetainUntilDate>", "InvalidArgument"),
        ("<EventHold>ON</EventHold>", "NotImplemented"),
        ("<Other/>", "MalformedXML"),
    ],
)
def test_a_retention_that_cannot_be_is_refused(inner, code):
    with pytest.raises(S3Error) as caught:
        retention.parse_retention(retention_xml(inner), NOW)
    assert caught.value.code == code


@pytest.mark.parametrize("lock", [Lock(legal_hold=True), NOT_LOCKED])
def test_a_legal_hold_is_read_as_it_is_told(lock):
    assert retention.parse_legal_hold(retention.legal_hold_document(lock)) is lock.legal_hold


@pytest.mark.parametrize("inner", ["", "<Status>abc</Status>", "<Status>on</Status>", "<Other>ON</Other>"])
def test_a_legal_hold_is_on_or_off(inner):
    with pytest.raises(S3Error) as caught:
        retention.parse_legal_hold(f"<LegalHold>{inner}</LegalHold>".encode())
    assert caught.value.code == "MalformedXML"


locks = st.builds(Lock, modes, st.integers(NOW, NOW + 50 * DAY), st.booleans())
retentions = st.just(NOT_LOCKED) | st.builds(Lock, modes, st.integers(NOW, NOW + 50 * DAY))


@given(locks, st.lists(st.tuples(retentions, st.integers(0, 3 * DAY), st.booleans()), max_size=12))
def test_no_sequence_of_changes_shortens_what_holds(lock, attempts):
    """COMPLIANCE for anybody; GOVERNANCE for who may not pass over it."""
    now, held = NOW, lock
    promised = []
    for wanted, later, bypass in attempts:
        if held.mode == COMPLIANCE:
            promised.append(held.until_ns)
        now += later
        before = held
        try:
            held = retention.with_retention(held, wanted, now, bypass=bypass)
        except S3Error as error:
            assert error.code == "AccessDenied"
            assert before.is_retained(now, bypass=bypass)
        assert held.legal_hold == lock.legal_hold
        if before.is_retained(now, bypass=bypass):
            assert held.mode == before.mode
            assert held.until_ns >= before.until_ns
        for until in promised:
            if until > now:
                assert held.mode == COMPLIANCE
                assert held.until_ns >= until
                assert held.protects(now, bypass=True)


@given(locks, st.integers(0, 10 * DAY), st.integers(NOW, NOW + 60 * DAY))
def test_what_holds_may_always_be_made_longer(lock, longer, now):
    wanted = Lock(lock.mode, lock.until_ns + longer)
    assert retention.with_retention(lock, wanted, now, bypass=False).until_ns == wanted.until_ns


@given(retentions, st.booleans())
def test_who_passes_over_governance_may_give_it_any_retention(wanted, hold):
    lock = Lock(GOVERNANCE, NOW + 60 * DAY, hold)
    changed = retention.with_retention(lock, wanted, NOW, bypass=True)
    assert changed == Lock(wanted.mode, wanted.until_ns, hold)


@pytest.mark.parametrize(
    ("until", "days"), [(NOW, 0), (NOW - DAY, 0), (NOW + 1, 1), (NOW + DAY, 1), (NOW + DAY + 1, 2)]
)
def test_a_day_that_has_begun_remains(until, days):
    assert retention.remaining_days(until, NOW) == days
