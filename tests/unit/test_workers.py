"""The supervision of workers: start, replacement, messages, watchdog and end, with processes that are none."""

import os
import socket
import sys

import pytest
from twisted.internet import defer
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from zs3 import workers
from zs3.messages import MessageChannel
from zs3.service import StartError
from zs3.worker import CHANNEL_FD, FIRST_SOCKET_FD
from zs3.workers import WorkersService, pause_after

READY = (["ready"],)


class Process:
    """A worker as its parent sees it; what it does is done by the test."""

    def __init__(self, reactor, pid, protocol, executable, args, env, files):
        self.reactor, self.pid, self.protocol = reactor, pid, protocol
        self.command, self.env, self.files = [executable, *args], env, files
        self.channel = MessageChannel(files.pop(CHANNEL_FD))
        self.signals = []
        protocol.makeConnection(self)

    def signalProcess(self, name):
        self.signals.append(name)

    def told(self):
        """What it was told since it was asked last, but for what it was told at the start."""
        messages = []
        self.channel.received = messages.append
        self.channel.read_rest()
        return [word for word, *_ in messages if word != "start"]

    def send(self, *message):
        self.channel.send(*message)
        self.protocol.channel.doRead()

    def end(self, exit_code=0, signal=None):
        self.channel.close()
        reason = ProcessTerminated(exit_code, signal) if exit_code or signal else ProcessDone(0)
        self.protocol.processEnded(Failure(reason))


class Port:
    def __init__(self, reading, writing):
        self.reading, self.writing = reading, writing
        self.reads = True
        self.stopped = defer.Deferred()

    def stopReading(self):
        self.reads = False

    def fileno(self):
        return self.reading

    def getHost(self):
        return "host"

    def stopListening(self):
        return self.stopped


class Endpoint:
    def __init__(self, port):
        self.port = port

    def listen(self, factory):
        return defer.succeed(self.port)


class Reactor(MemoryReactorClock):
    """Starts processes that send at once what the next of `scripts` says, by default that they are ready."""

    def __init__(self):
        super().__init__()
        self.processes = []
        self.scripts = []
        self.error = None

    def spawnProcess(self, protocol, executable, args, env, childFDs):
        if self.error is not None:
            raise self.error
        assert os.path.samestat(os.fstat(childFDs[0]), os.stat(os.devnull))
        assert (childFDs[1], childFDs[2]) == (1, 2)
        files = {name: socket.socket(fileno=os.dup(fd)) for name, fd in childFDs.items() if name == CHANNEL_FD}
        files |= {name: fd for name, fd in childFDs.items() if name >= FIRST_SOCKET_FD}
        process = Process(self, 100 + len(self.processes), protocol, executable, args, env, files)
        self.processes.append(process)
        for message in self.scripts.pop(0) if self.scripts else READY:
            if message is None:
                process.channel.close()
            else:
                process.channel.send(*message)
        return process


@pytest.fixture
def reactor():
    reactor = Reactor()
    yield reactor
    for each in reactor.processes:
        each.channel.close()
        each.protocol.channel.close()


@pytest.fixture
def port():
    reading, writing = os.pipe()
    yield Port(reading, writing)
    os.close(reading)
    os.close(writing)


@pytest.fixture
def service(reactor, port):
    settings = {"arguments": ["--data", "d"]}
    return WorkersService(reactor, [("tcp:9000", Endpoint(port))], 2, settings, drain_timeout=30.0)


@pytest.fixture
def started(reactor, service):
    """After the start, and the first look at what was told then."""
    service.startService()
    for each in reactor.processes:
        each.told()
    return service


class TestStart:
    def test_binds_while_privileged_without_accepting(self, service, port):
        service.privilegedStartService()
        assert not port.reads

    def test_returns_when_all_serve(self, reactor, service, port, logged):
        service.startService()
        assert not port.reads
        one, two = reactor.processes
        assert set(reactor.getReaders()) == {one.protocol.channel, two.protocol.channel}
        assert [text for text in logged("info") if "serves" in text] == [
            "worker 1 serves: process 100",
            "worker 2 serves: process 101",
        ]

    def test_a_worker_gets_sockets_settings_and_this_pythons_modules(self, reactor, service, port, monkeypatch):
        monkeypatch.setenv("NOTIFY_SOCKET", "@x")
        monkeypatch.setenv("LISTEN_FDS", "1")
        monkeypatch.setenv("ZS3_ACCESS_KEY", "KEY")
        monkeypatch.setattr(sys, "path", ["", "/a", "/b"])
        service.startService()
        process = reactor.processes[0]
        assert process.files == {FIRST_SOCKET_FD: port.fileno()}
        assert process.command == [sys.executable, sys.executable, "-P", "-m", "zs3.worker"]
        assert process.env["PYTHONPATH"] == "/a:/b"
        assert process.env["ZS3_ACCESS_KEY"] == "KEY"
        assert not {"NOTIFY_SOCKET", "LISTEN_FDS"} & set(process.env)
        word, settings = process.channel.receive()
        assert word == "start"
        assert settings == {"arguments": ["--data", "d"], "reactor": Reactor.__module__, "number": 1}

    def test_what_a_worker_says_before_it_ends_is_the_error(self, reactor, service, logged):
        reactor.scripts = [READY, (["log", "critical", "zs3.service", "cannot use /data: no"], None)]
        with pytest.raises(StartError, match=r"^cannot use /data: no$"):
            service.startService()
        assert logged() == ["cannot use /data: no"], "once"

    def test_a_worker_that_ends_without_a_word_ends_the_start(self, reactor, service):
        reactor.scripts = [(["log", "warn", "zs3.x", "hm"], None)]
        with pytest.raises(StartError, match=r"^a worker ended before it served$"):
            service.startService()

    def test_no_process_to_be_had_ends_the_start(self, reactor, service):
        reactor.error = BlockingIOError(11, "Resource temporarily unavailable")
        with pytest.raises(StartError, match=r"^cannot start a worker: Resource temporarily unavailable$"):
            service.startService()


class TestLog:
    def test_what_a_worker_says_is_logged_as_the_worker_s(self, reactor, started, logged):
        reactor.processes[1].send("log", "error", "zs3.web.call", "failed\nTraceback {x}")
        assert logged() == ["failed\nTraceback {x}"]

    def test_its_system_names_worker_namespace_and_level(self, reactor, started, monkeypatch):
        events = []
        monkeypatch.setattr(workers.Logger, "emit", lambda self, level, form, **values: events.append(values))
        reactor.processes[1].send("log", "error", "zs3.web.call", "failed")
        assert events == [{"text": "failed", "log_system": "worker 2, zs3.web.call#error"}]


class TestReplacement:
    def test_the_last_words_of_the_dead_come_before_its_end(self, reactor, started, logged):
        process = reactor.processes[0]
        process.channel.send("log", "critical", "zs3.service", "last words")
        process.end(signal=9)
        assert logged() == ["last words", "worker 1 (process 100) ended (signal 9), another is started now"]

    def test_another_is_started_at_once_then_later_and_later(self, reactor, started, logged):
        last = reactor.processes[0]
        for pause in (0, 0.5, 1, 2, 4, 8, 16, 30, 30):
            count = len(reactor.processes)
            last.end(exit_code=1)
            if pause:
                reactor.advance(pause - 0.01)
                assert len(reactor.processes) == count
            reactor.advance(0.02)
            assert len(reactor.processes) == count + 1
            last = reactor.processes[-1]
        assert logged()[-1].endswith("ended (exit status 1), another is started in 30 s")
        assert len(reactor.getReaders()) == 2

    def test_one_that_lived_a_while_is_replaced_at_once(self, reactor, started):
        reactor.processes[0].end(signal=11)
        reactor.advance(0)
        reactor.processes[2].end(signal=11)
        reactor.advance(0.5)
        reactor.advance(10)
        reactor.processes[3].end(signal=11)
        reactor.advance(0)
        assert len(reactor.processes) == 5

    def test_a_disk_that_failed_in_one_has_failed_for_all_and_for_those_that_come(self, reactor, started):
        reactor.processes[0].send("failed")
        assert [each.told() for each in reactor.processes] == [["failed"], ["failed"]]
        reactor.processes[0].end(signal=9)
        reactor.advance(0)
        _, settings = reactor.processes[2].channel.receive()
        assert settings["failed"] is True

    def test_who_wants_to_know_is_told_before_another_takes_the_place(self, reactor, port):
        ended = []
        service = WorkersService(
            reactor,
            [("tcp:9000", Endpoint(port))],
            2,
            {},
            drain_timeout=30.0,
            ended=lambda number: ended.append((number, len(reactor.processes))),
        )
        service.startService()
        reactor.processes[1].end(signal=9)
        reactor.advance(0)
        assert ended == [(2, 2)]
        assert len(reactor.processes) == 3

    def test_workers_are_counted_each_for_itself(self, reactor, started):
        for process in list(reactor.processes):
            process.end(signal=9)
        reactor.advance(0)
        assert len(reactor.processes) == 4

    def test_an_end_in_good_order_is_no_error(self, reactor, started, logged):
        reactor.processes[0].end()
        reactor.advance(0)
        assert len(reactor.processes) == 3
        assert logged() == []

    def test_no_process_to_be_had_is_tried_again(self, reactor, started, logged):
        reactor.error = BlockingIOError(11, "Resource temporarily unavailable")
        reactor.processes[0].end(signal=9)
        reactor.advance(0)
        assert logged()[1:] == ["worker 1 cannot be started: Resource temporarily unavailable"]
        reactor.error = None
        reactor.advance(0.5)
        assert len(reactor.processes) == 3

    def test_its_failure_to_start_is_logged(self, reactor, started, logged):
        reactor.scripts = [(["log", "critical", "zs3.worker", "--auth zs3: no"],)]
        reactor.processes[0].end(signal=9)
        reactor.advance(0)
        reactor.processes[2].end(exit_code=1)
        assert "--auth zs3: no" in logged()

    def test_pauses_are_bounded(self):
        assert [pause_after(n) for n in (0, 1, 2, 3, 1000)] == [0, 0, 0.5, 1, 30]


class TestWatchdog:
    def alive(self, service):
        answers = []
        service.alive().addCallback(lambda _: answers.append("alive"))
        return answers

    def test_the_daemon_is_alive_when_all_have_answered(self, reactor, started):
        answers = self.alive(started)
        one, two = reactor.processes
        assert one.told() == two.told() == ["ping"]
        one.send("pong")
        assert answers == []
        two.send("pong")
        assert answers == ["alive"]
        again = self.alive(started)
        assert one.told() == ["ping"]
        assert again == []

    def test_the_dead_are_not_waited_for_but_those_who_come(self, reactor, started):
        answers = self.alive(started)
        one, two = reactor.processes
        two.send("pong")
        one.end(signal=9)
        assert answers == ["alive"]
        answers = self.alive(started)
        two.end(signal=9)
        assert answers == [], "nobody serves"
        reactor.advance(0)
        for each in reactor.processes[2:]:
            assert each.told() == ["ping"]
            each.protocol.channel.doRead()  # ready
            assert answers == []
            each.send("pong")
        assert answers == ["alive"]


class TestMessages:
    def test_reload_reaches_all(self, reactor, started):
        started.reload()
        assert [each.told() for each in reactor.processes] == [["reload"], ["reload"]]

    def test_hurry_means_nothing_before_the_end(self, reactor, started):
        started.hurry()
        assert [each.told() for each in reactor.processes] == [[], []]


class TestEnd:
    def stop(self, service):
        done = []
        service.stopService().addCallback(done.append)
        return done

    def test_all_are_told_and_waited_for(self, reactor, started, port, logged):
        done = self.stop(started)
        assert [each.told() for each in reactor.processes] == [["stop"], ["stop"]]
        port.stopped.callback(None)
        reactor.processes[0].end()
        assert done == []
        reactor.processes[1].end()
        assert done == [None]
        assert reactor.getDelayedCalls() == []
        assert len(reactor.processes) == 2
        assert logged() == []
        started.hurry()  # too late: nothing
        assert reactor.getDelayedCalls() == []

    def test_one_that_dies_while_it_ends_is_told_of(self, reactor, started, port, logged):
        port.stopped.callback(None)
        done = self.stop(started)
        reactor.processes[0].end(signal=11)
        reactor.processes[1].end()
        assert done == [None]
        assert logged() == ["worker 1 (process 100) ended badly: signal 11"]

    def test_those_that_do_not_end_are_killed(self, reactor, started, port, logged):
        port.stopped.callback(None)
        done = self.stop(started)
        reactor.processes[0].end()
        reactor.advance(34.9)
        assert reactor.processes[1].signals == []
        reactor.advance(0.1)
        assert reactor.processes[1].signals == ["KILL"]
        reactor.processes[1].end(signal=9)
        assert done == [None]
        assert reactor.getDelayedCalls() == []

    def test_those_that_cannot_be_killed_are_left(self, reactor, started, port, logged):
        port.stopped.callback(None)
        done = self.stop(started)
        reactor.advance(35)
        reactor.advance(5)
        assert done == [None]
        assert logged()[-1] == "there are workers that cannot be killed"
        reactor.processes[0].end(signal=9)
        reactor.processes[1].end(signal=9)

    def test_hurry_is_passed_on_and_bounds_the_end(self, reactor, started, port):
        port.stopped.callback(None)
        self.stop(started)
        started.hurry()
        assert [each.told() for each in reactor.processes] == [["stop", "hurry"], ["stop", "hurry"]]
        reactor.advance(5)
        assert [each.signals for each in reactor.processes] == [["KILL"], ["KILL"]]

    def test_a_pause_is_over_with_the_end(self, reactor, started, port):
        port.stopped.callback(None)
        reactor.processes[0].end(signal=9)
        reactor.processes[1].end(signal=9)
        assert self.stop(started) == [None]
        assert reactor.getDelayedCalls() == []
