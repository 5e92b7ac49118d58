"""When the pass over buckets with lifecycle rules is made, and by whom."""

import time

import pytest
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock

from tests.contract.support import Client, fired
from zs3.lifecycle import passes
from zs3.lifecycle.evaluation import REAL_DAY, Day
from zs3.lifecycle.ledger import Ledger, Progress
from zs3.lifecycle.rules import LIFECYCLE, Lifecycle, Rule, kept
from zs3.lifecycle.service import LifecycleService
from zs3.store.deferred import FilesystemStore

HOUR = 3600
#: A midnight that is days after whatever the tests make.
MIDNIGHT = (int(time.time()) // 86_400 + 10) * 86_400


class Reactor(Clock):
    """It runs from the beginning."""

    def __init__(self, now):
        super().__init__()
        self.rightNow = now

    def callWhenRunning(self, function):
        function()


class Host:
    """A data directory, and processes that serve it."""

    def __init__(self, path):
        self.path = path
        self.reactor = Reactor(MIDNIGHT - 6 * HOUR)
        self.store = FilesystemStore(str(path), execute, self.reactor, sync=False)
        fired(self.store.start())
        self.client = Client(self.store)
        fired(self.store.create_bucket("bucket"))
        self.ledger = Ledger(str(path))
        self.services = []
        self.hops = []

    def configure(self, *rules, bucket="bucket"):
        text = kept(Lifecycle(rules)) if rules else None
        self.client.configure(bucket, **{LIFECYCLE: text})

    def hop(self, function, *args):
        self.hops.append(function.__name__)
        return execute(function, *args)

    def start(self, *, day=REAL_DAY, hop=None):
        service = LifecycleService(self.reactor, self.store, Ledger(str(self.path)), hop or self.hop, Day(day))
        service.startService()
        self.services.append(service)
        return service

    def advance(self, seconds, step=60.0):
        """Time passes."""
        while seconds > 0:
            self.reactor.advance(min(step, seconds))
            seconds -= step

    def keys(self):
        return self.client.listed()


@pytest.fixture
def host(tmp_path):
    host = Host(tmp_path)
    yield host
    for service in host.services:
        if service.running:
            fired(service.stopService())
    assert host.reactor.getDelayedCalls() == []
    fired(host.store.stop())


EXPIRE = Rule("r", days=1)


def test_where_no_bucket_has_rules_nothing_is_planned_or_read(host):
    host.start()
    assert host.reactor.getDelayedCalls() == []
    assert host.hops == []


def test_the_pass_is_made_soon_after_the_start_and_after_each_midnight(host):
    host.client.put("a")
    host.configure(EXPIRE)
    host.start()
    host.advance(61)
    assert host.keys() == []
    assert host.ledger.read() == Progress(MIDNIGHT // 86_400 - 1, done=True, buckets=1)
    host.client.put("b")
    host.advance(5 * HOUR)
    assert host.keys() == ["b"]
    host.advance(HOUR)
    assert host.keys() == []


def test_what_was_done_today_is_not_done_again_at_another_start(host):
    host.configure(EXPIRE)
    fired(host.start().stopService())
    host.ledger.acquire()
    host.ledger.write(Progress(MIDNIGHT // 86_400 - 1, done=True, buckets=1))
    host.ledger.release()
    host.client.put("a")
    host.start()
    host.advance(5 * HOUR)
    assert host.keys() == ["a"]


def test_rules_that_come_later_wake_the_service(host):
    service = host.start()
    host.client.put("a")
    host.configure(EXPIRE)
    for _ in range(3):
        service.rules_seen()
    assert len(host.reactor.getDelayedCalls()) == 1
    host.advance(5.9 * HOUR)
    assert host.keys() == ["a"]
    host.advance(0.2 * HOUR)
    assert host.keys() == []


def test_once_the_last_rules_are_gone_there_is_peace(host):
    host.configure(EXPIRE)
    service = host.start()
    host.advance(61)
    host.configure()
    host.advance(7 * HOUR)
    assert host.reactor.getDelayedCalls() == []
    # And they are seen again.
    service.rules_seen()
    assert len(host.reactor.getDelayedCalls()) == 1


def test_rules_that_came_after_todays_pass_are_not_forgotten(host):
    host.start()
    host.advance(6 * HOUR + 1)
    host.ledger.acquire()
    host.ledger.write(Progress(MIDNIGHT // 86_400, done=True, buckets=0))
    host.ledger.release()
    host.configure(EXPIRE)
    host.client.put("a")
    other = host.start()
    other.rules_seen()
    host.advance(HOUR)
    assert host.keys() == ["a"]
    host.advance(24 * HOUR)
    assert host.keys() == []


def test_of_several_processes_one_makes_the_pass(host):
    host.client.put("a")
    host.configure(EXPIRE)
    for _ in range(3):
        host.start()
    host.advance(61)
    assert host.keys() == []
    assert host.hops.count("acquire") == 3
    assert host.hops.count("write") == 2  # after the only page, and in the end


def test_who_finds_another_at_it_tries_again_later(host):
    host.client.put("a")
    host.configure(EXPIRE)
    assert host.ledger.acquire()
    host.start()
    host.advance(61)
    assert host.keys() == ["a"]
    host.ledger.release()
    host.advance(1000)
    assert host.keys() == []


def test_a_pass_that_was_broken_off_is_gone_on_with_and_then_comes_todays(host):
    for key in ("a", "b", "c"):
        host.client.put(key)
    host.configure(Rule("r", date_s=0))
    host.ledger.acquire()
    host.ledger.write(Progress(5, "bucket", "b"))
    host.ledger.release()
    seen = []
    report = host.store.list_versions
    host.store.list_versions = lambda name, query, show: seen.append(query.key_marker) or report(name, query, show)
    host.start()
    host.advance(62, step=0.01)
    assert seen == ["b", ""]
    assert host.keys() == []
    assert host.ledger.read().done


def test_damaged_notes_are_as_good_as_none(host):
    host.client.put("a")
    host.configure(EXPIRE)
    (host.path / ".zs3" / "lifecycle.json").write_bytes(b'{"pass": 1')
    host.start()
    host.advance(61)
    assert host.keys() == []


def test_a_stop_ends_the_pass_between_two_pages(host, monkeypatch):
    monkeypatch.setattr(passes, "PAGE", 1)
    for key in ("a", "b", "c"):
        host.client.put(key)
    host.configure(EXPIRE)
    service = host.start()
    while len(host.keys()) == 3:
        host.reactor.advance(1)
    stopped = service.stopService()
    fired(stopped)
    left = host.keys()
    assert left
    progress = host.ledger.read()
    assert not progress.done
    assert progress.bucket == "bucket"
    host.start()
    host.advance(62)
    assert host.keys() == []


def test_a_stop_waits_for_what_is_being_done(host):
    host.client.put("a")
    host.configure(EXPIRE)
    waiting = []

    def hop(function, *args):
        deferred = Deferred()
        waiting.append((deferred, function, args))
        return deferred

    service = host.start(hop=hop)
    host.advance(61)
    stopped = service.stopService()
    assert not stopped.called
    while waiting:
        deferred, function, args = waiting.pop(0)
        execute(function, *args).chainDeferred(deferred)
    fired(stopped)
    assert host.ledger.acquire()
    host.ledger.release()


def test_of_short_days_each_has_several_passes(host):
    host.configure(Rule("r", days=1))
    host.start(day=100)
    host.advance(10, step=1)
    before = host.ledger.read().number
    host.advance(100, step=1)
    assert host.ledger.read().number == before + 4


@pytest.mark.parametrize("name", ["acquire", "read", "write"])
def test_where_the_files_cannot_be_had_it_is_tried_again_and_said(host, name):
    host.client.put("a")
    host.configure(EXPIRE)
    broken = True

    def hop(function, *args):
        def fails():
            raise PermissionError(13, "Permission denied")

        return execute(fails) if broken and function.__name__ == name else execute(function, *args)

    host.start(hop=hop)
    host.advance(62)
    broken = False
    host.advance(1000)
    assert host.keys() == []
    assert host.ledger.read().done
