"""Times in HTTP's and S3's forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs3.web.dates import NS, http_date, iso_date, parse_http_date, parse_iso_date

#: The example of RFC 9110, 5.6.7.
WHEN = 784111777


def test_the_forms_that_are_sent_cut_fractions():
    assert http_date(WHEN * NS + 999_999_999) == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert iso_date(WHEN * NS + 999_999_999) == "1994-11-06T08:49:37.000Z"


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ],
)
def test_all_three_forms_are_understood(text):
    assert parse_http_date(text, now=WHEN) == WHEN


def test_a_year_of_two_digits_is_at_most_fifty_years_ahead():
    now = 1_700_000_000  # 2023
    assert parse_http_date("Sunday, 01-Jan-73 00:00:00 GMT", now=now) == 3250454400  # 2073
    assert parse_http_date("Monday, 01-Jan-74 00:00:00 GMT", now=now) == 126230400  # 1974


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 +0100",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, ٠٦ Nov 1994 08:49:37 GMT",
        "1994-11-06T08:49:37Z",
        "784111777",
    ],
)
def test_what_is_no_http_date_is_none(text):
    assert parse_http_date(text) is None


def test_a_leap_second_is_understood():
    assert parse_http_date("Sat, 31 Dec 2016 23:59:60 GMT") == 1483228799


@given(st.integers(0, 4_000_000_000))
def test_what_is_sent_is_understood(seconds):
    assert parse_http_date(http_date(seconds * NS)) == seconds
    assert parse_iso_date(iso_date(seconds * NS)) == seconds


@pytest.mark.parametrize("text", ["1994-11-06", "1994-13-06T08:49:37Z", "1994-11-06T08:49:37+01:00", ""])
def test_what_is_no_iso_time_in_utc_is_none(text):
    assert parse_iso_date(text) is None
