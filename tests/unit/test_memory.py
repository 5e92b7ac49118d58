"""What the process takes of the machine's memory: how glibc is set up, and when memory is given back."""

import os
import platform
import subprocess
import sys

import pytest
from twisted.internet import defer
from twisted.internet.task import Clock

from zs3 import memory
from zs3.memory import PAUSE_S, MemoryService

needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this is of glibc's allocator alone")


def run(code, **environment):
    """What a process of its own prints: settings of an allocator cannot be taken back."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | environment
    )
    return done.stdout.split()


# What is mapped alone is counted; each further heap is told of.
ALLOCATE = """
import ctypes, os, re, tempfile, threading
from zs3.memory import tune
class Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks a b c d e f".split()]
libc = ctypes.CDLL(None)
libc.mallinfo2.restype, libc.fopen.restype = Mallinfo2, ctypes.c_void_p
tune(os.environ)
kept = []
for _ in range(4):
    thread = threading.Thread(target=lambda: kept.append(bytes(50_000)))
    thread.start()
    thread.join()
before = libc.mallinfo2().hblks
kept.append(bytes(1 << 20))
with tempfile.NamedTemporaryFile() as file:
    stream = ctypes.c_void_p(libc.fopen(file.name.encode(), b"w"))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    heaps = len(re.findall(rb"<heap ", file.read()))
print(libc.mallinfo2().hblks - before, heaps)
"""


@needs_glibc
def test_pieces_of_bodies_are_not_mapped_alone_and_all_threads_share_a_heap():
    assert run(ALLOCATE) == ["0", "1"]


@needs_glibc
@pytest.mark.parametrize("name", ["MALLOC_TOP_PAD_", "GLIBC_TUNABLES"])
def test_where_the_administrator_has_set_the_allocator_up_it_stays_so(name):
    value = "0" if name.startswith("MALLOC") else "glibc.malloc.top_pad=0"
    mapped, heaps = run(ALLOCATE, **{name: value})
    assert mapped == "1"
    assert int(heaps) > 1


@needs_glibc
def test_what_lies_free_between_what_is_kept_is_given_back():
    before, after = run("""
from zs3.memory import give_back
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 >> 20
kept = []
for _ in range(400):
    piece = bytes(100_000)
    kept.append(bytes(2_000))
    kept.append(piece)
del piece, kept[1::2]
print(resident())
give_back()
print(resident())
""")
    assert int(before) - int(after) > 20


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory, "_libc", object())
    memory.tune({})
    memory.give_back()


class TestService:
    @pytest.fixture
    def given(self, monkeypatch):
        """When memory was given back."""
        times = []
        monkeypatch.setattr(memory, "give_back", lambda: times.append(self.clock.seconds()))
        return times

    @pytest.fixture
    def service(self):
        self.clock = Clock()
        service = MemoryService(self.clock, defer.execute)
        service.startService()
        return service

    def answer(self, service):
        service.record(None, received_ns=0, remote="", status=200, seconds=0.0, request_id="")

    def test_it_is_given_back_again_and_again_while_there_is_work(self, service, given):
        for _ in range(30):
            self.answer(service)
            self.clock.advance(PAUSE_S / 10)
        assert given == [PAUSE_S, 2 * PAUSE_S, 3 * PAUSE_S]

    def test_once_after_the_last_answer_and_then_nothing_wakes(self, service, given):
        assert self.clock.getDelayedCalls() == []
        self.answer(service)
        self.clock.advance(PAUSE_S)
        assert given == [PAUSE_S]
        assert self.clock.getDelayedCalls() == []

    def test_after_the_end_nothing_happens(self, service, given):
        self.answer(service)
        service.stopService()
        self.answer(service)
        assert self.clock.getDelayedCalls() == []
        assert given == []
