"""A pass over buckets with lifecycle rules, over a real store."""

import time
from collections import Counter

import pytest
from twisted.internet.defer import execute, fail, succeed
from twisted.internet.task import Clock

from tests.contract.support import Client, fired
from zs3.lifecycle import passes
from zs3.lifecycle.evaluation import Day, What
from zs3.lifecycle.passes import Action, Pass, Stopped
from zs3.lifecycle.rules import LIFECYCLE, Filter, Lifecycle, Rule, kept
from zs3.store.deferred import FilesystemStore
from zs3.store.values import COMPLIANCE, ENABLED, SUSPENDED, VERSIONING, Attributes, Lock

DAY = Day(1000)
EXPIRE = Rule("r", days=1)
OLD = Rule("old", noncurrent_days=1)
MARKERS = Rule("markers", expired_markers=True)
ABORT = Rule("abort", abort_days=1)


class Lives:
    """A store, and passes over it.

    :ivar notes: of how far a pass has come.
    :ivar actions: what was reported.
    """

    def __init__(self, path):
        self.store = FilesystemStore(str(path), execute, Clock(), sync=False)
        fired(self.store.start())
        self.client = Client(self.store)
        fired(self.store.create_bucket("bucket"))
        self.notes, self.actions = [], []
        self.pauses = 0
        self.between = lambda: None

    def configure(self, *rules, bucket="bucket", **values):
        values = {LIFECYCLE: kept(Lifecycle(rules)), **values}
        fired(self.store.change_configuration(bucket, lambda configuration: configuration.update(values)))

    def _pause(self, took):
        assert took >= 0
        self.pauses += 1
        self.between()
        return succeed(None)

    def make(self, days=1, **options):
        """A pass when so many days have passed."""
        return Pass(
            self.store,
            lambda: time.time() + days * DAY.seconds + 1,
            DAY,
            **{
                "pause": self._pause,
                "save": lambda bucket, key: succeed(self.notes.append((bucket, key))),
                "report": self.actions.append,
                **options,
            },
        )

    def run(self, *begin, only=None, **options):
        return fired(self.make(**options).run(*begin, only=only))

    def keys(self):
        return self.client.listed()

    def versions(self):
        return [(info.key, info.is_delete_marker) for info, _ in self.client.versions()]


@pytest.fixture
def lives(tmp_path):
    lives = Lives(tmp_path)
    yield lives
    fired(lives.store.stop())


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(passes, "PAGE", 2)


def test_what_is_due_goes_and_the_rest_stays(lives):
    for key in ("a", "logs/1", "logs/2", "z"):
        lives.client.put(key)
    lives.configure(Rule("logs", days=1, filter=Filter("logs/")), Rule("never", enabled=False, days=1))
    assert lives.run(days=0.5).done == {}
    assert lives.keys() == ["a", "logs/1", "logs/2", "z"]
    counts = lives.run()
    assert (counts.buckets, counts.looked_at, counts.done) == (1, 2, {What.EXPIRE: 2})
    assert lives.keys() == ["a", "z"]
    assert [(each.what, each.rule, each.bucket, each.key) for each in lives.actions] == [
        (What.EXPIRE, "logs", "bucket", "logs/1"),
        (What.EXPIRE, "logs", "bucket", "logs/2"),
    ]


def test_a_bucket_without_rules_is_not_read(lives, monkeypatch):
    lives.client.put("a")
    monkeypatch.setattr(lives.store, "list_versions", None)
    monkeypatch.setattr(lives.store, "list_uploads", None)
    assert lives.run().buckets == 0
    lives.configure(Rule("never", enabled=False, days=1))
    assert lives.run().buckets == 1
    assert lives.pauses == 0


def test_others_have_their_turn_within_a_page_that_takes_long(lives, monkeypatch):
    for number in range(10):
        lives.client.put(f"key{number}")
    lives.configure(Rule("late", days=100))
    assert lives.run().looked_at == 10
    before = lives.pauses
    monkeypatch.setattr(passes, "_TURN_S", -1)
    assert lives.run().looked_at == 10
    assert lives.pauses - before == before + 10


@pytest.mark.usefixtures("small_pages")
def test_pages_end_anywhere(lives):
    keys = [f"{prefix}{number}" for prefix in ("a/", "b/", "c/") for number in range(5)]
    for key in keys:
        lives.client.put(key)
    lives.configure(Rule("1", days=1, filter=Filter("c/")), Rule("2", days=1, filter=Filter("a/")))
    assert lives.run().done == {What.EXPIRE: 10}
    assert lives.keys() == keys[5:10]
    assert lives.notes == sorted(lives.notes)


@pytest.mark.usefixtures("small_pages")
def test_versions_of_a_key_may_be_on_many_pages(lives):
    lives.configure(Rule("old", noncurrent_days=1, newer_versions=2), **{VERSIONING: ENABLED})
    for key in ("a", "b"):
        for number in range(6):
            lives.client.put(key, b"%d" % number)
    assert lives.run().done == {What.REMOVE: 6}
    assert lives.versions() == [("a", False)] * 3 + [("b", False)] * 3
    assert [lives.client.get(key) for key in "ab"] == [b"5", b"5"]
    assert lives.run().done == {}


@pytest.mark.parametrize("page", [1, 2, 3, 100])
def test_a_delete_marker_goes_when_nothing_is_left_behind_it(lives, monkeypatch, page):
    monkeypatch.setattr(passes, "PAGE", page)
    lives.configure(OLD, MARKERS, **{VERSIONING: ENABLED})
    lives.client.put("a")
    lives.client.put("b")
    lives.client.delete("a")
    assert lives.run().done == {What.REMOVE: 1}
    assert lives.versions() == [("a", True), ("b", False)]
    assert lives.run().done == {What.REMOVE_MARKER: 1}
    assert lives.versions() == [("b", False)]


def test_where_versions_are_kept_an_object_expires_by_a_delete_marker(lives):
    lives.client.put("before")
    lives.configure(EXPIRE, **{VERSIONING: ENABLED})
    lives.client.put("after")
    assert lives.run().done == {What.EXPIRE: 2}
    assert lives.keys() == []
    assert lives.versions() == [("after", True), ("after", False), ("before", True), ("before", False)]
    assert lives.run(days=0.5).done == {}


def test_where_versions_are_kept_no_longer_only_what_has_no_id_is_lost(lives):
    lives.configure(EXPIRE, **{VERSIONING: ENABLED})
    lives.client.put("kept")
    lives.configure(EXPIRE, **{VERSIONING: SUSPENDED})
    lives.client.put("lost")
    assert lives.run().done == {What.EXPIRE: 2}
    assert lives.versions() == [("kept", True), ("kept", False), ("lost", True)]


def test_what_is_locked_stays(lives):
    lock = Lock(COMPLIANCE, time.time_ns() + 10**15)
    lives.configure(OLD, **{VERSIONING: ENABLED, "objectLock": {}})
    lives.client.put("a", b"locked", attributes=Attributes(lock=lock))
    lives.client.put("a", b"free")
    lives.client.put("a", b"current")
    assert lives.run().done == {What.REMOVE: 1}
    assert [lives.client.get("a", version=info.version) for info, _ in lives.client.versions()] == [
        b"current",
        b"locked",
    ]


def test_uploads_that_nobody_completes_are_aborted(lives, monkeypatch):
    monkeypatch.setattr(passes, "PAGE", 2)
    for key in ("a", "a", "a", "b", "logs/c"):
        lives.client.begin(key)
    lives.configure(ABORT, Rule("later", abort_days=9))
    assert lives.run(days=0.5).done == {}
    assert lives.run().done == {What.ABORT: 5}
    page = fired(
        lives.store.list_uploads("bucket", prefix="", delimiter="", key_marker="", upload_id_marker="", limit=10)
    )
    assert page.uploads == []
    assert {action.rule for action in lives.actions} == {"abort"}


def test_nothing_is_done_in_a_dry_run(lives):
    lives.client.put("a")
    lives.client.begin("b")
    lives.configure(EXPIRE, ABORT)
    assert lives.run(dry_run=True).done == {What.EXPIRE: 1, What.ABORT: 1}
    assert [(each.what, each.key) for each in lives.actions] == [(What.EXPIRE, "a"), (What.ABORT, "b")]
    assert lives.keys() == ["a"]


def test_only_the_bucket_that_is_named_is_looked_at(lives):
    fired(lives.store.create_bucket("other"))
    for bucket in ("bucket", "other"):
        lives.client.put("a", bucket=bucket)
        lives.configure(EXPIRE, bucket=bucket)
    assert lives.run(only="other").done == {What.EXPIRE: 1}
    assert lives.keys() == ["a"]


# Others come in between


class Meddling:
    """The store, but something happens before the first deletion."""

    def __init__(self, store, meddle):
        self._store, self._meddle = store, meddle

    def __getattr__(self, name):
        return getattr(self._store, name)

    def delete_object(self, *args, **kwargs):
        meddle, self._meddle = self._meddle, lambda: None
        meddle()
        return self._store.delete_object(*args, **kwargs)


def with_meddling(lives, meddle):
    store = lives.store
    lives.store = Meddling(store, meddle)
    try:
        return lives.run()
    finally:
        lives.store = store


def test_an_object_that_is_replaced_meanwhile_stays(lives):
    lives.client.put("a", b"old")
    lives.configure(EXPIRE)
    counts = with_meddling(lives, lambda: lives.client.put("a", b"new"))
    assert (counts.done, counts.changed) == ({}, 1)
    assert lives.client.get("a") == b"new"


def test_an_object_that_goes_meanwhile_gets_no_delete_marker(lives):
    lives.configure(EXPIRE, **{VERSIONING: ENABLED})
    lives.client.put("a", b"old")
    counts = with_meddling(lives, lambda: lives.client.delete("a"))
    assert (counts.done, counts.changed) == ({}, 1)
    assert lives.versions() == [("a", True), ("a", False)]


def test_a_version_that_becomes_current_meanwhile_stays(lives):
    lives.configure(OLD, **{VERSIONING: ENABLED})
    lives.client.put("a", b"old")
    marker = lives.client.remove("a", "").version
    counts = with_meddling(lives, lambda: lives.client.remove("a", marker))
    assert (counts.done, counts.changed) == ({}, 1)
    assert lives.client.get("a") == b"old"


@pytest.mark.usefixtures("small_pages")
def test_rules_that_go_meanwhile_count_no_longer(lives):
    for number in range(6):
        lives.client.put(f"{number}")
    lives.configure(EXPIRE)
    lives.between = lives.configure
    assert 1 <= lives.run().done[What.EXPIRE] <= 2
    assert len(lives.keys()) >= 4


@pytest.mark.parametrize("page", [1, 2])
def test_with_rules_that_change_meanwhile_no_delete_marker_is_thought_to_be_alone(lives, monkeypatch, page):
    monkeypatch.setattr(passes, "PAGE", page)
    lives.configure(Rule("m", expired_markers=True, filter=Filter("a")), **{VERSIONING: ENABLED})
    lives.client.put("a")
    lives.client.put("b")
    lives.client.put("c")
    lives.client.delete("a")
    lives.between = lambda: lives.configure(Rule("m", expired_markers=True, filter=Filter("b")))
    assert lives.run().done == {}


def test_a_bucket_that_goes_meanwhile_is_no_trouble(lives):
    fired(lives.store.create_bucket("next"))
    lives.client.put("a")
    lives.client.put("b", bucket="next")
    lives.configure(EXPIRE)
    lives.configure(EXPIRE, bucket="next")

    def meddle():
        lives.client.delete("a")
        fired(lives.store.delete_bucket("bucket"))

    assert with_meddling(lives, meddle).done == {What.EXPIRE: 1}
    assert lives.actions[0].bucket == "next"


def test_damaged_rules_of_one_bucket_do_not_hold_up_the_others(lives):
    fired(lives.store.create_bucket("next"))
    lives.client.put("a")
    lives.client.put("b", bucket="next")
    lives.configure(**{LIFECYCLE: "damaged"})
    lives.configure(EXPIRE, bucket="next")
    assert lives.run().done == {What.EXPIRE: 1}
    assert lives.keys() == ["a"]


# Going on


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("after", range(1, 7))
def test_a_pass_goes_on_where_one_was_stopped(lives, after):
    lives.configure(OLD, **{VERSIONING: ENABLED})
    fired(lives.store.create_bucket("before"))
    lives.configure(EXPIRE, bucket="before")
    for key in ("a", "b", "c"):
        for number in range(3):
            lives.client.put(key, b"%d" % number)
    pauses = iter(range(1, 1000))
    stopping = lives.make(pause=lambda _: fail(Stopped()) if next(pauses) >= after else succeed(None))
    with pytest.raises(Stopped):
        fired(stopping.run())
    counts = lives.run(*lives.notes[-1])
    assert (stopping.counts.done + counts.done) == Counter({What.REMOVE: 6})
    assert lives.versions() == [("a", False), ("b", False), ("c", False)]


def test_counts_are_told_in_one_line(lives):
    lives.client.put("a")
    lives.configure(EXPIRE)
    assert str(lives.run(days=0)) == "1 buckets with rules, 1 versions and uploads: nothing to do"
    assert str(lives.run()) == "1 buckets with rules, 1 versions and uploads: expire 1"
    assert isinstance(lives.actions[0], Action)
