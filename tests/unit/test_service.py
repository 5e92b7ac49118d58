"""The order of start and stop, the drain, signals, and what the service manager is told."""

import os
import signal
import threading

import pytest
from twisted.application.service import Service
from twisted.internet import defer
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock

from zs3 import service
from zs3.service import (
    CallService,
    ListeningService,
    NotifyService,
    PartService,
    PoolService,
    SequentialService,
    SignalService,
    StartError,
)


class Reactor(MemoryReactorClock):
    """Runs when told to, and takes calls from threads and signal handlers."""

    def __init__(self):
        super().__init__()
        self.from_threads = []
        self.stopped = False

    def callFromThread(self, f, *args, **kwargs):
        self.from_threads.append((f, args, kwargs))

    def run_calls_from_threads(self):
        calls, self.from_threads = self.from_threads, []
        for f, args, kwargs in calls:
            f(*args, **kwargs)

    def start_running(self):
        for f, args, kwargs in self.whenRunningHooks:
            f(*args, **kwargs)

    def stop(self):
        self.stopped = True


@pytest.fixture
def reactor():
    return Reactor()


class FakeSite(Factory):
    """A site whose connections end when the test says so."""

    def __init__(self):
        self.drains = []
        self.aborted = False

    def drain(self):
        self.drains.append(defer.Deferred())
        return self.drains[-1]

    def abort(self):
        self.aborted = True


def done(deferred):
    """The result, or the failure, of a Deferred that must have fired."""
    results = []
    deferred.addBoth(results.append)
    assert results, "has not fired"
    return results[0]


def fired(deferred):
    return deferred.called and not deferred.paused


class TestSequence:
    class Recorded(Service):
        def __init__(self, name, calls, ends):
            self.setName(name)
            self.calls, self.ends = calls, ends

        def startService(self):
            super().startService()
            self.calls.append(f"start {self.name}")

        def stopService(self):
            self.calls.append(f"stop {self.name}")
            return self.ends

    def daemon(self, *ends):
        calls, daemon = [], SequentialService()
        for name, end in zip("abc", ends, strict=False):
            self.Recorded(name, calls, end).setServiceParent(daemon)
        daemon.startService()
        return daemon, calls

    def test_a_service_is_stopped_when_all_after_it_have(self):
        last = defer.Deferred()
        daemon, calls = self.daemon(None, None, last)
        assert calls == ["start a", "start b", "start c"]
        stopping = daemon.stopService()
        assert calls[3:] == ["stop c"]
        assert not daemon.running
        last.callback(None)
        assert calls[3:] == ["stop c", "stop b", "stop a"]
        assert done(stopping) is None

    def test_one_that_fails_to_stop_is_logged_and_the_others_are_stopped(self, logged):
        daemon, calls = self.daemon(None, defer.fail(RuntimeError("no")), None)
        assert done(daemon.stopService()) is None
        assert calls[3:] == ["stop c", "stop b", "stop a"]
        assert len(logged("critical")) == 1


class TestStartError:
    def test_it_is_logged_in_one_line_and_exits_with_status_1(self, logged):
        error = StartError("cannot listen on tcp:9000: Address already in use")
        assert error.code == 1
        assert isinstance(error, SystemExit), "no traceback"
        assert isinstance(error, Exception), "twistd tells the parent process"
        assert logged("critical") == ["cannot listen on tcp:9000: Address already in use"]
        assert str(error) == "cannot listen on tcp:9000: Address already in use"

    def test_part_that_cannot_start_ends_the_start(self, reactor):
        class Part:
            def start(self):
                return defer.fail(PermissionError(13, "Permission denied", "/data/.zs3"))

        with pytest.raises(StartError, match=r"^cannot use /data: /data/\.zs3: Permission denied$"):
            PartService(Part(), reactor, "cannot use /data").startService()

    def test_part_that_raises_ends_the_start(self, reactor):
        class Part:
            def start(self):
                raise ValueError("two\n lines")

        with pytest.raises(StartError, match=r"^cannot use /data: two lines$"):
            PartService(Part(), reactor, "cannot use /data").startService()

    def test_part_that_fails_later_stops_the_reactor(self, reactor, logged):
        starting = defer.Deferred()

        class Part:
            def start(self):
                return starting

        PartService(Part(), reactor, "cannot use /data").startService()
        assert not reactor.stopped
        starting.errback(ValueError("no"))
        assert reactor.stopped
        assert logged("critical") == ["cannot use /data: no"]

    @pytest.mark.parametrize(
        "error", [OSError(28, "No space left on device", "/log"), ValueError("/log: No space left")]
    )
    def test_call_that_fails_ends_the_start(self, error):
        def fail():
            raise error

        with pytest.raises(StartError, match=r"^/log: No space left"):
            CallService(fail).startService()

    def test_call_service_calls_both(self):
        calls = []
        each = CallService(lambda: calls.append("start"), lambda: calls.append("stop"))
        each.startService()
        assert calls == ["start"]
        each.stopService()
        assert calls == ["start", "stop"]


class TestPool:
    def test_before_the_reactor_runs_work_is_done_at_once(self, reactor):
        pool = PoolService(reactor, 1)
        pool.startService()
        assert done(pool.hop(threading.get_ident)) == threading.get_ident()

    def test_then_in_a_thread_and_its_result_comes_through_the_reactor(self, reactor):
        pool = PoolService(reactor, 1)
        pool.startService()
        reactor.start_running()
        result = pool.hop(lambda a, b: (threading.get_ident(), a, b), 1, b=2)
        assert not fired(result)
        stopping = pool.stopService()  # waits for the thread
        reactor.run_calls_from_threads()
        thread, *arguments = done(result)
        assert thread != threading.get_ident()
        assert arguments == [1, 2]
        assert not fired(stopping), "the last results are still to come"
        reactor.advance(0)
        assert done(stopping) is None

    def test_failures_come_back_too(self, reactor):
        assert done(PoolService(reactor, 1).hop(int, "x")).check(ValueError)

    def test_no_more_threads_than_asked_for(self, reactor):
        pool = PoolService(reactor, 2)
        pool.startService()
        reactor.start_running()
        busy, both, go = threading.Semaphore(0), threading.Event(), threading.Event()
        seen = set()

        def work():
            seen.add(threading.get_ident())
            busy.release()
            both.wait(60)

        for _ in range(2):
            pool.hop(work)
        for _ in range(2):
            assert busy.acquire(timeout=60), "two work at the same time"
        pool.hop(go.set)
        assert not go.is_set()
        both.set()
        pool.stopService()
        assert go.is_set()
        assert len(seen) == 2

    def test_after_the_stop_nothing_waits_for_a_thread(self, reactor):
        pool = PoolService(reactor, 1)
        pool.startService()
        reactor.start_running()
        pool.stopService()
        assert done(pool.hop(threading.get_ident)) == threading.get_ident()

    def test_a_stop_before_the_reactor_runs_starts_no_thread(self, reactor):
        pool = PoolService(reactor, 1)
        pool.startService()
        pool.stopService()
        reactor.start_running()
        assert done(pool.hop(threading.get_ident)) == threading.get_ident()


class Busy:
    """An endpoint that is taken."""

    def __init__(self, error):
        self.error = error

    def listen(self, factory):
        return defer.fail(self.error)


class TestListening:
    def listening(self, reactor, *descriptions, timeout=30.0):
        endpoints = [(each, serverFromString(reactor, each)) for each in descriptions or ("tcp:9000",)]
        site = FakeSite()
        return ListeningService(reactor, [(site, endpoints)], timeout), site

    def test_all_endpoints_are_bound_while_privileged_and_not_again(self, reactor, logged):
        each, site = self.listening(reactor, "tcp:80", "unix:/run/zs3.sock")
        each.privilegedStartService()
        assert [(server[0], server[1]) for server in reactor.tcpServers] == [(80, site)]
        assert [server[0] for server in reactor.unixServers] == ["/run/zs3.sock"]
        each.startService()
        assert len(reactor.tcpServers) == 1
        assert [text for text in logged("info") if "listening on" in text] == [
            "listening on 0.0.0.0:80 (tcp:80)",
            "listening on /run/zs3.sock (unix:/run/zs3.sock)",
        ]

    def test_where_it_listens_may_go_unsaid(self, reactor, logged):
        endpoints = [("tcp:9000", serverFromString(reactor, "tcp:9000"))]
        ListeningService(reactor, [(FakeSite(), endpoints)], 30, announce=False).startService()
        assert logged("info") == []

    def test_without_a_privileged_phase_they_are_bound_at_the_start(self, reactor):
        each, _ = self.listening(reactor)
        each.startService()
        assert len(reactor.tcpServers) == 1

    @pytest.mark.parametrize(
        "error",
        [CannotListenError("", 9000, OSError(98, "Address already in use")), OSError(98, "Address already in use")],
    )
    def test_port_in_use_ends_the_start_with_one_line(self, reactor, error):
        each = ListeningService(reactor, [(FakeSite(), [("tcp:9000", Busy(error))])], 30)
        with pytest.raises(StartError, match=r"^cannot listen on tcp:9000: Address already in use$"):
            each.privilegedStartService()

    def test_stop_closes_the_ports_then_waits_for_the_connections(self, reactor):
        each, site = self.listening(reactor)
        each.startService()
        ((_, port, _),) = each._ports
        events = []
        port.stopListening = lambda: events.append("closed")
        drain = site.drain
        site.drain = lambda: events.append("drain") or drain()
        stopping = each.stopService()
        assert events == ["closed", "drain"]
        assert not fired(stopping)
        site.drains[0].callback(None)
        assert done(stopping) is None
        assert not site.aborted
        assert reactor.getDelayedCalls() == []

    def test_all_sites_are_drained_at_once_and_cut_together(self, reactor):
        sites = FakeSite(), FakeSite()
        listeners = [
            (site, [(each, serverFromString(reactor, each))])
            for site, each in zip(sites, ["tcp:9000", "tcp:9001"], strict=True)
        ]
        each = ListeningService(reactor, listeners, 30.0)
        each.startService()
        assert [(server[0], server[1]) for server in reactor.tcpServers] == [(9000, sites[0]), (9001, sites[1])]
        stopping = each.stopService()
        assert [len(site.drains) for site in sites] == [1, 1]
        sites[0].drains[0].callback(None)
        assert not fired(stopping)
        each.hurry()
        assert [site.aborted for site in sites] == [True, True]
        for site in sites:
            site.drains[1].callback(None)
        assert done(stopping) is None
        assert reactor.getDelayedCalls() == []

    def test_requests_that_run_too_long_are_cut(self, reactor, logged):
        each, site = self.listening(reactor, timeout=30.0)
        each.startService()
        stopping = each.stopService()
        reactor.advance(29)
        assert not site.aborted
        reactor.advance(1)
        assert site.aborted
        assert not fired(stopping), "their handlers clean up first"
        site.drains[1].callback(None)
        assert done(stopping) is None
        assert logged() == ["requests that were still running are cut"]

    def test_connections_that_survive_an_abort_do_not_stop_the_stop(self, reactor):
        each, _ = self.listening(reactor, timeout=0.0)
        each.startService()
        stopping = each.stopService()
        reactor.advance(0)
        reactor.advance(1)
        assert done(stopping) is None

    def test_hurry_may_come_while_the_ports_are_closed(self, reactor):
        each, site = self.listening(reactor)
        each.startService()
        ((_, port, _),) = each._ports
        closing = defer.Deferred()
        port.stopListening = lambda: closing
        stopping = each.stopService()
        each.hurry()
        assert site.drains == [], "nobody is sent away while others could still come"
        closing.callback(None)
        assert site.aborted
        site.drains[1].callback(None)
        assert done(stopping) is None

    def test_hurry_ends_the_waiting(self, reactor):
        each, site = self.listening(reactor)
        each.startService()
        each.hurry()  # too early: nothing
        stopping = each.stopService()
        each.hurry()
        assert site.aborted
        site.drains[1].callback(None)
        assert done(stopping) is None
        each.hurry()  # too late: nothing


class TestSignals:
    @pytest.fixture(autouse=True)
    def _old_handlers(self):
        numbers = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
        old = [signal.getsignal(each) for each in numbers]
        yield
        for number, handler in zip(numbers, old, strict=True):
            signal.signal(number, handler)

    def test_sighup_reloads_from_the_reactor(self, reactor):
        calls = []
        SignalService(reactor, lambda: calls.append("reload"), lambda: calls.append("hurry")).startService()
        os.kill(os.getpid(), signal.SIGHUP)
        assert calls == []
        reactor.run_calls_from_threads()
        assert calls == ["reload"]

    def test_while_stopping_sighup_is_ignored_and_sigterm_and_sigint_hurry(self, reactor):
        calls = []
        each = SignalService(reactor, lambda: calls.append("reload"), lambda: calls.append("hurry"))
        each.startService()
        each.stopService()
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
        reactor.run_calls_from_threads()
        assert calls == ["hurry", "hurry"]


def test_reload_goes_on_after_a_failure(logged):
    calls = []

    def broken():
        raise ValueError("/users: is not a file")

    service.reloader({"users": broken, "access log": lambda: calls.append("access log")})()
    assert calls == ["access log"]
    assert logged() == ["users not reloaded: /users: is not a file"]


class FakeNotifier:
    def __init__(self, watchdog_seconds=None):
        self.watchdog_seconds = watchdog_seconds
        self.sent = []

    def send(self, state):
        self.sent.append(state)


class TestNotify:
    def test_ready_comes_when_the_reactor_runs_and_stopping_at_the_end(self, reactor):
        notifier = FakeNotifier()
        each = NotifyService(reactor, notifier)
        each.startService()
        assert notifier.sent == []
        reactor.start_running()
        assert notifier.sent == ["READY=1"]
        each.stopService()
        assert notifier.sent == ["READY=1", "STOPPING=1"]

    def test_watchdog_is_told_twice_in_its_time_until_the_stop(self, reactor):
        notifier = FakeNotifier(10.0)
        each = NotifyService(reactor, notifier)
        each.startService()
        reactor.start_running()
        reactor.pump([5, 5])
        assert notifier.sent == ["READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"]
        each.stopService()
        reactor.advance(20)
        assert notifier.sent[4:] == ["STOPPING=1"]

    def test_watchdog_is_told_only_when_those_who_are_asked_are_well(self, reactor):
        notifier, asked = FakeNotifier(10.0), []

        def alive():
            asked.append(defer.Deferred())
            return asked[-1]

        each = NotifyService(reactor, notifier, alive)
        each.startService()
        reactor.start_running()
        reactor.pump([5, 5, 5])
        assert notifier.sent == ["READY=1"]
        assert len(asked) == 1
        asked[0].callback(None)
        assert notifier.sent == ["READY=1", "WATCHDOG=1"]
        reactor.advance(5)
        each.stopService()
        asked[1].callback(None)
        assert notifier.sent[2:] == ["STOPPING=1"]

    def test_a_stop_before_the_reactor_runs_is_never_ready(self, reactor):
        notifier = FakeNotifier(10.0)
        each = NotifyService(reactor, notifier)
        each.startService()
        each.stopService()
        reactor.start_running()
        assert notifier.sent == ["STOPPING=1"]


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (IPv4Address("TCP", "127.0.0.1", 9000), "127.0.0.1:9000"),
        (IPv6Address("TCP", "::1", 9000), "[::1]:9000"),
        (UNIXAddress(b"/run/zs3.sock"), "/run/zs3.sock"),
        (UNIXAddress(None), "UNIXAddress(None)"),
    ],
)
def test_addresses_are_shown_as_a_user_writes_them(address, text):
    assert service.show(address) == text


def test_a_file_is_shown_as_text():
    assert service.describe(FileNotFoundError(2, "No such file or directory", b"/s.lock")) == (
        "/s.lock: No such file or directory"
    )


def test_of_two_files_the_one_that_was_to_be_made_is_named():
    error = FileNotFoundError(2, "No such file or directory", "1234", None, "/nowhere/zs3.sock.lock")
    assert service.describe(error) == "/nowhere/zs3.sock.lock: No such file or directory"


def test_an_error_without_words_is_described_by_its_name():
    assert service.describe(KeyError()) == "KeyError"
