"""What a worker does on its parent's word, and what it tells."""

import signal

import pytest
from twisted.internet.error import ReactorNotRunning
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import Logger, LogLevel, LogPublisher
from twisted.python.failure import Failure

from zs3.messages import MessageChannel, socket_pair
from zs3.worker import Forwarder, ObedientService


class Reactor(MemoryReactorClock):
    def __init__(self):
        super().__init__()
        self.stops = 0

    def stop(self):
        self.stops += 1
        if self.stops > 1:
            raise ReactorNotRunning

    def start_running(self):
        for f, args, kwargs in self.whenRunningHooks:
            f(*args, **kwargs)

    def callFromThread(self, f, *args, **kwargs):
        f(*args, **kwargs)


@pytest.fixture
def reactor():
    return Reactor()


@pytest.fixture
def parent_and_own():
    channels = [MessageChannel(each) for each in socket_pair()]
    yield channels
    for each in channels:
        each.close()


def rest(channel):
    messages = []
    channel.received = messages.append
    channel.read_rest()
    return messages


class TestObedience:
    @pytest.fixture(autouse=True)
    def _old_handler(self):
        old = signal.getsignal(signal.SIGTERM)
        yield
        signal.signal(signal.SIGTERM, old)

    @pytest.fixture
    def calls(self):
        return []

    @pytest.fixture
    def service(self, reactor, parent_and_own, calls):
        return ObedientService(
            reactor,
            parent_and_own[1],
            reload=lambda: calls.append("reload"),
            hurry=lambda: calls.append("hurry"),
            asked=lambda: calls.append("asked"),
            failed=lambda: calls.append("failed"),
            die=lambda: calls.append("die"),
        )

    def test_it_is_ready_when_the_reactor_runs(self, reactor, service, parent_and_own):
        parent, own = parent_and_own
        service.startService()
        assert rest(parent) == []
        reactor.start_running()
        assert rest(parent) == [["ready"]]
        assert reactor.getReaders() == [own]

    def test_it_is_never_ready_if_it_is_stopped_before(self, reactor, service, parent_and_own):
        service.startService()
        service.stopService()
        reactor.start_running()
        assert rest(parent_and_own[0]) == []

    def test_it_does_what_it_is_told(self, reactor, service, parent_and_own, calls):
        parent, own = parent_and_own
        service.startService()
        reactor.start_running()
        rest(parent)
        for word in ("reload", "ping", "stop", "stop", "hurry", "failed"):
            parent.send(word)
            own.doRead()
        assert calls == ["reload", "asked", "hurry", "failed"]
        assert rest(parent) == [["pong"]]
        assert reactor.stops == 2, "and the second did not fail"

    def test_a_signal_beside_the_word_is_no_error(self, reactor, service, parent_and_own):
        parent, own = parent_and_own
        service.startService()
        reactor.start_running()
        parent.send("stop")
        own.doRead()
        signal.raise_signal(signal.SIGTERM)
        assert reactor.stops == 2

    def test_without_its_parent_it_dies(self, reactor, service, parent_and_own, calls):
        parent, own = parent_and_own
        service.startService()
        reactor.start_running()
        parent.close()
        own.doRead()
        assert calls == ["die"]


class TestForwarder:
    @pytest.fixture
    def log(self, parent_and_own):
        publisher = LogPublisher(Forwarder(parent_and_own[1]))
        return lambda namespace: Logger(namespace, observer=publisher)

    def test_what_zs3_says_goes_to_the_parent(self, log, parent_and_own):
        log("zs3.service").info("{what} reloaded", what="users")
        log("zs3.service").debug("details")
        assert rest(parent_and_own[0]) == [["log", "info", "zs3.service", "users reloaded"]]

    def test_of_others_only_what_is_wrong(self, log, parent_and_own):
        log("twisted.internet.base").info("Main loop terminated.")
        log("zs3x").info("no")
        log("twisted.internet.base").warn("hm")
        assert rest(parent_and_own[0]) == [["log", "warn", "twisted.internet.base", "hm"]]

    def test_a_traceback_goes_along_bounded(self, log, parent_and_own):
        try:
            raise RuntimeError("x" * 100_000)
        except RuntimeError:
            log("zs3.web.call").failure("failed", Failure(), level=LogLevel.error)
        ((_, level, _, text),) = rest(parent_and_own[0])
        assert level == "error"
        assert text.startswith("failed\nTraceback (most recent call last):")
        assert len(text) == 16_000

    def test_what_is_lost_is_counted(self, log, parent_and_own):
        for _ in range(100):
            log("zs3.x").info("x" * 10_000)
        got = len(rest(parent_and_own[0]))
        assert got < 100
        log("zs3.x").info("again")
        ((*_, text),) = rest(parent_and_own[0])
        assert text == f"({100 - got} events before this one are lost) again"
