"""What is counted of requests, threads and the store, and how it is told."""

import os
import random
import re
from itertools import pairwise

import pytest
from prometheus_client import generate_latest

from tests.scrape import Scrape, check
from zs3.metrics import definitions
from zs3.metrics.setup import Setup
from zs3.metrics.shared import SharedDirectory
from zs3.store.observer import StoreObserver
from zs3.web.accesslog import RequestLog
from zs3.web.site import SiteObserver


@pytest.fixture
def directory(tmp_path):
    directory = SharedDirectory({"RUNTIME_DIRECTORY": str(tmp_path)})
    directory.make()
    yield directory
    directory.remove()


@pytest.fixture(params=["alone", "worker"])
def setup(request, directory):
    return Setup(4) if request.param == "alone" else Setup(4, directory.path, 1)


def record(setup, log, status=200, seconds=0.002):
    observer: SiteObserver = setup.instruments
    observer.record(log, received_ns=0, remote="", status=status, seconds=seconds, request_id="")


def told(setup):
    return Scrape(generate_latest(setup.registry).decode())


def test_a_request_is_counted_by_operation_status_and_bucket(setup):
    record(setup, RequestLog("GetObject", "photos", "a", bytes_out=10))
    record(setup, RequestLog("GetObject", "photos", "b", bytes_out=5))
    record(setup, RequestLog("PutObject", "photos", "a", bytes_in=7))
    scrape = told(setup)
    assert scrape("zs3_requests_total", operation="GetObject", status="200", bucket="photos") == 2
    assert scrape("zs3_requests_total") == 3
    assert scrape("zs3_sent_bytes_total", bucket="photos") == 15
    assert scrape("zs3_received_bytes_total", bucket="photos") == 7


def test_a_request_that_was_not_understood_is_counted_as_none(setup):
    record(setup, RequestLog(error="BadRequest"), 400)
    scrape = told(setup)
    assert scrape("zs3_requests_total", operation="-", status="400", bucket="-") == 1
    assert scrape("zs3_errors_total", code="BadRequest") == 1


def test_a_client_that_left_is_told_by_status_0_and_gives_no_bucket_a_name(setup):
    record(setup, RequestLog("PutObject", "photos", "a"), 0)
    assert told(setup)("zs3_requests_total", operation="PutObject", status="0", bucket="other") == 1


def test_buckets_that_nobody_could_use_have_no_labels(setup):
    for number in range(500):
        record(setup, RequestLog("GetObject", f"guess-{number}", "a", error="NoSuchBucket"), 404)
    scrape = told(setup)
    assert scrape.labels("zs3_requests_total", "bucket") == {"other"}
    assert scrape("zs3_requests_total", bucket="other", status="404") == 500


def test_no_more_than_100_buckets_have_labels(setup):
    for number in range(150):
        record(setup, RequestLog("PutObject", f"bucket-{number}", "a", bytes_in=1))
    scrape = told(setup)
    assert len(scrape.labels("zs3_requests_total", "bucket")) == 101
    assert scrape("zs3_requests_total", bucket="other") == 50
    assert scrape("zs3_received_bytes_total") == 150


def test_durations_are_in_the_first_bucket_that_holds_them(setup):
    bounds = definitions.DURATION.bounds
    for seconds in (*bounds, 1000.0, -1.0):
        record(setup, RequestLog("GetObject", "b"), seconds=seconds)
    scrape = told(setup)
    name = "zs3_request_duration_seconds"
    counts = [scrape(f"{name}_bucket", operation="GetObject", le=str(bound)) for bound in bounds]
    # The one with the negative time of a clock that was set back is the first.
    assert counts == [number + 2 for number in range(len(bounds))]
    assert scrape(f"{name}_count") == scrape(f"{name}_bucket", le="+Inf") == len(bounds) + 2
    assert scrape(f"{name}_sum") == pytest.approx(sum(bounds) + 1000)


def test_how_long_somebody_listened_for_events_is_no_latency(setup):
    for operation in ("ListenBucketNotification", "ListenBucketNotification", "GetObject"):
        record(setup, RequestLog(operation, "photos"), seconds=3600.0)
    scrape = told(setup)
    assert scrape("zs3_requests_total", operation="ListenBucketNotification") == 2
    assert scrape.labels("zs3_request_duration_seconds_count", "operation") == {"GetObject"}


def test_every_code_of_a_failed_authentication_is_counted_apart(setup):
    for code in ("SignatureDoesNotMatch", "InvalidAccessKeyId", "SignatureDoesNotMatch"):
        record(setup, RequestLog(error=code), 403)
    scrape = told(setup)
    assert scrape("zs3_authentication_failures_total", code="SignatureDoesNotMatch") == 2
    assert scrape("zs3_authentication_failures_total", code="InvalidAccessKeyId") == 1
    assert scrape("zs3_authentication_failures_total") == 3


def test_access_that_is_denied_to_a_known_user_is_no_failed_authentication(setup):
    record(setup, RequestLog("GetObject", "photos", "a", "ALICE", error="AccessDenied"), 403)
    record(setup, RequestLog(access_key="ALICE", error="AccessDenied"), 403)
    scrape = told(setup)
    assert scrape("zs3_errors_total", code="AccessDenied") == 2
    assert scrape("zs3_authentication_failures_total") == 1


def test_multipart_uploads_are_counted_when_they_succeed(setup):
    for operation, status, error in (
        ("CreateMultipartUpload", 200, ""),
        ("CreateMultipartUpload", 403, "AccessDenied"),
        ("CompleteMultipartUpload", 200, ""),
        # Told late, after the head of the answer.
        ("CompleteMultipartUpload", 200, "InvalidPart"),
        ("AbortMultipartUpload", 204, ""),
    ):
        record(setup, RequestLog(operation, "photos", "a", error=error), status)
    scrape = told(setup)
    assert [scrape("zs3_multipart_uploads_total", event=event) for event in ("created", "completed", "aborted")] == [
        *(1, 1, 1)
    ]


def test_what_was_answered_at_once_is_counted_beside(setup):
    record(setup, RequestLog("GetObject", "photos", "a", at_once=True))
    record(setup, RequestLog("GetObject", "photos", "a"))
    assert told(setup)("zs3_answered_at_once_total", operation="GetObject") == 1


def test_what_is_under_way_goes_up_and_down(setup):
    observer: SiteObserver = setup.instruments
    for change in (1, 1, -1):
        observer.connections(change)
        observer.requests(change)
    scrape = told(setup)
    assert scrape("zs3_connections") == scrape("zs3_requests_in_flight") == 1


@pytest.mark.parametrize(("pending", "busy", "queue"), [(0, 0, 0), (3, 3, 0), (4, 4, 0), (9, 4, 5)])
def test_calls_beyond_the_threads_wait_in_the_queue(setup, pending, busy, queue):
    setup.instruments.pending(9)
    setup.instruments.pending(pending)
    scrape = told(setup)
    assert (scrape("zs3_threads_busy"), scrape("zs3_thread_queue_length")) == (busy, queue)
    assert scrape("zs3_threads") == 4


def test_the_store_tells_of_fsyncs_and_of_what_it_remembered(setup):
    observer: StoreObserver = setup.instruments
    for seconds in (0.0004, 0.02, 0.3):
        observer.synced(seconds)
    for remembered in (True, True, False):
        observer.looked_up(remembered=remembered)
    scrape = told(setup)
    assert scrape("zs3_fsync_duration_seconds_count") == 3
    assert scrape("zs3_fsync_duration_seconds_bucket", le="0.025") == 2
    assert scrape("zs3_fsync_duration_seconds_sum") == pytest.approx(0.3204)
    assert scrape("zs3_listing_cache_lookups_total", result="hit") == 2
    assert scrape("zs3_listing_cache_lookups_total", result="miss") == 1
    assert scrape("zs3_disk_failed") == 0
    observer.lost()
    assert told(setup)("zs3_disk_failed") == 1


def test_the_sum_of_all_workers_is_told_by_each(directory):
    first, second = (Setup(4, directory.path, number) for number in (1, 2))
    record(first, RequestLog("GetObject", "photos", "a", bytes_out=1))
    record(second, RequestLog("GetObject", "photos", "a", bytes_out=2))
    for setup in (first, second):
        setup.instruments.connections(1)
        setup.instruments.synced(0.01)
    for scrape in map(told, (first, second)):
        assert scrape("zs3_requests_total", operation="GetObject", bucket="photos") == 2
        assert scrape("zs3_sent_bytes_total") == 3
        assert scrape("zs3_connections") == 2
        assert scrape("zs3_threads") == 8
        assert scrape("zs3_fsync_duration_seconds_count") == 2
        assert scrape("zs3_workers") == 2
        assert scrape.labels("process_open_fds", "worker") == {"0", "1", "2"}


def test_what_a_dead_worker_counted_stays_and_what_was_under_way_in_it_does_not(directory):
    first, second = (Setup(4, directory.path, number) for number in (1, 2))
    record(second, RequestLog("GetObject", "photos", "a"))
    second.instruments.connections(1)
    second.instruments.pending(9)
    second.instruments.lost()
    directory.worker_ended(2)
    scrape = told(first)
    assert scrape("zs3_requests_total", bucket="photos") == 1
    assert scrape("zs3_connections") == scrape("zs3_threads_busy") == scrape("zs3_thread_queue_length") == 0
    assert scrape("zs3_threads") == 4
    assert scrape("zs3_workers") == 1
    # The disk does not get well by that.
    assert scrape("zs3_disk_failed") == 1


def test_the_worker_that_replaces_another_goes_on_with_its_counts(directory):
    first = Setup(4, directory.path, 1)
    last = 0.0
    for life in range(1, 6):
        second = Setup(4, directory.path, 2)
        record(second, RequestLog("GetObject", "photos", "a"))
        second.instruments.requests(1)
        scrape = told(first)
        assert scrape("zs3_requests_total") == life > last
        assert scrape("zs3_requests_in_flight") == 1
        last = life
        directory.worker_ended(2)
    assert len([*filter(re.compile(r"table-.*").fullmatch, os.listdir(directory.path))]) == 4


def test_what_is_told_is_what_prometheus_wants(setup):
    record(setup, RequestLog("GetObject", "photos", "a"))
    record(setup, RequestLog("GetObject", 'quo"te\\\nline', "a"))
    check(generate_latest(setup.registry).decode())


def test_names_follow_the_conventions_of_prometheus():
    everything = (*definitions.COUNTED, *definitions.LOOKED_UP)
    assert len({each.name for each in everything}) == len(everything)
    for each in everything:
        assert re.fullmatch(r"(zs3|process)_[a-z_]+", each.name)
        assert each.help.endswith(".")
        assert (each.kind == definitions.COUNTER) == each.name.endswith("_total")
        assert (each.kind == definitions.HISTOGRAM) == bool(each.bounds)
        assert not each.bounds or each.name.endswith("_seconds")
        assert all(a < b for a, b in pairwise(each.bounds))


def test_counters_never_go_backwards_for_who_looks_while_others_count(directory):
    workers = [Setup(4, directory.path, number) for number in (1, 2, 3)]
    chance = random.Random(7)
    last = 0.0
    for _ in range(60):
        number = chance.randrange(3)
        if chance.random() < 0.3:
            directory.worker_ended(number + 1)
            workers[number] = Setup(4, directory.path, number + 1)
        record(workers[number], RequestLog(chance.choice(["GetObject", "PutObject"]), "photos", "a"))
        now = told(workers[chance.randrange(3)])("zs3_requests_total")
        assert now == last + 1
        last = now
