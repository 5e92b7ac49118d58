"""Queues of events on the disk: what was appended is read in order, whatever ends, tears or fills them."""

import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zs3.events.queue import Lock, Reader, Writer, pending
from zs3.store.durability import Durability
from zs3.store.internals import Internals

FOREVER = 1 << 62
LIMIT = 1 << 20


class Queue:
    def __init__(self, data):
        self.data = os.fsencode(data)
        self.directory = os.path.join(self.data, b".zs3", b"events", b"q")
        self.internals = Internals(self.data, Durability(enabled=False, report=lambda _: None))

    def writer(self, limit=LIMIT):
        return Writer(self.directory, self.internals, limit)

    def reader(self):
        return Reader(self.directory, self.internals)

    def files(self):
        return sorted(name for name in os.listdir(self.directory) if name.endswith(b".events"))

    def path(self, name):
        return os.path.join(self.directory, name)


@pytest.fixture
def queue(tmp_path):
    return Queue(tmp_path)


def documents(entries):
    return [entry.document for entry in entries]


def test_a_queue_that_nobody_wrote_to_is_empty(queue):
    assert not pending(queue.directory)
    assert queue.reader().read(FOREVER) == []


def test_entries_are_the_next_ones_until_they_are_done(queue):
    queue.writer().append([(1, b"a"), (2, b"b"), (3, b"c")])
    reader = queue.reader()
    assert documents(reader.read(FOREVER, 2)) == [b"a", b"b"]
    reader.done(reader.read(FOREVER, 1))
    assert documents(reader.read(FOREVER)) == [b"b", b"c"]


def test_who_comes_later_goes_on_where_it_was_left(queue):
    writer = queue.writer()
    writer.append([(1, b"a"), (2, b"b")])
    reader = queue.reader()
    reader.done(reader.read(FOREVER, 1))
    assert pending(queue.directory)
    assert documents(queue.reader().read(FOREVER)) == [b"b"]
    reader.done(reader.read(FOREVER))
    assert not pending(queue.directory)
    writer.append([(3, b"c")])
    assert documents(queue.reader().read(FOREVER)) == [b"c"]


def test_a_lost_cursor_repeats_and_loses_nothing(queue):
    queue.writer().append([(1, b"a"), (2, b"b")])
    reader = queue.reader()
    reader.done(reader.read(FOREVER))
    with open(queue.path(b"cursor"), "wb"):
        pass
    assert documents(queue.reader().read(FOREVER)) == [b"a", b"b"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3)), max_size=20), st.integers(1, 5))
def test_the_entries_of_several_writers_are_read_in_their_order(tmp_path_factory, appends, most):
    queue = Queue(tmp_path_factory.mktemp("queue"))
    writers = [queue.writer() for _ in range(3)]
    number, expected = 0, []
    for who, count in appends:
        entries = []
        for _ in range(count):
            number += 1
            entries.append((number, b"%d" % number))
        writers[who].append(entries)
        expected += [document for _, document in entries]
    reader, found = queue.reader(), []
    while entries := reader.read(FOREVER, most):
        found += documents(entries)
        reader.done(entries)
    assert found == expected


def test_what_is_later_than_the_reading_began_waits(queue):
    queue.writer().append([(10, b"early"), (20, b"late")])
    assert documents(queue.reader().read(15)) == [b"early"]


def test_a_file_of_which_all_was_read_goes_when_its_writer_has_gone(queue):
    writer = queue.writer()
    writer.append([(1, b"a")])
    reader = queue.reader()
    reader.done(reader.read(FOREVER))
    assert reader.read(FOREVER) == []
    assert len(queue.files()) == 1
    writer.close()
    assert reader.read(FOREVER) == []
    assert queue.files() == []
    assert not pending(queue.directory)


def test_a_torn_line_is_passed_over_once_its_writer_has_gone(queue):
    writer = queue.writer()
    writer.append([(1, b"a"), (2, b"bbbbbbbb")])
    (name,) = queue.files()
    with open(queue.path(name), "r+b") as file:
        file.truncate(os.path.getsize(queue.path(name)) - 3)
    reader = queue.reader()
    assert documents(reader.read(FOREVER)) == [b"a"]
    reader.done(reader.read(FOREVER))
    assert reader.read(FOREVER) == []
    assert queue.files() == [name]
    writer.close()
    assert reader.read(FOREVER) == []
    assert queue.files() == []


def test_what_was_damaged_is_counted_and_the_rest_is_read(queue):
    queue.writer().append([(1, b"aaaa"), (2, b"bbbb"), (3, b"cccc")])
    (name,) = queue.files()
    with open(queue.path(name), "r+b") as file:
        text = file.read()
        file.seek(text.index(b"bbbb"))
        file.write(b"\0\r")
    reader = queue.reader()
    assert documents(reader.read(FOREVER)) == [b"aaaa", b"cccc"]
    assert reader.damaged == 1


def test_zeros_instead_of_lines_do_not_end_the_reading(queue):
    writer = queue.writer()
    writer.append([(1, b"a")])
    (name,) = queue.files()
    writer.close()
    with open(queue.path(name), "ab") as file:
        file.write(bytes(600 << 10))
    queue.writer().append([(2, b"b")])
    reader, found = queue.reader(), []
    for _ in range(20):
        entries = reader.read(FOREVER)
        found += documents(entries)
        reader.done(entries)
    assert found == [b"a", b"b"]
    assert not pending(queue.directory)


def test_a_full_queue_loses_the_oldest_and_says_how_many(queue):
    writer, document, lost = queue.writer(), b"x" * 1000, 0
    for number in range(1, 3001):
        lost += writer.append([(number, document)])
        assert sum(os.path.getsize(queue.path(name)) for name in queue.files()) <= LIMIT
    assert lost > 0
    reader, found = queue.reader(), []
    while entries := reader.read(FOREVER):
        found += [entry.number for entry in entries]
        reader.done(entries)
    assert found == list(range(lost + 1, 3001))


def test_what_was_read_makes_room_without_a_loss(queue):
    writer, reader, document = queue.writer(), queue.reader(), b"x" * 1000
    for number in range(1, 3001):
        assert writer.append([(number, document)]) == 0
        reader.done(reader.read(FOREVER))


def test_entries_larger_than_a_part_of_the_queue_are_kept(queue):
    large = [(number, b"y" * 1000) for number in range(1, 501)]
    assert queue.writer().append(large) == 0
    assert len(queue.reader().read(FOREVER)) > 0


def test_what_another_removed_meanwhile_is_written_again(queue):
    writer = queue.writer()
    writer.append([(1, b"a")])
    (name,) = queue.files()
    os.unlink(queue.path(name))
    writer.append([(2, b"b")])
    assert documents(queue.reader().read(FOREVER)) == [b"b"]


def test_after_a_failed_write_another_file_is_begun(queue, monkeypatch):
    writer = queue.writer()
    writer.append([(1, b"a")])
    with monkeypatch.context() as patch:
        real = os.pwrite
        patch.setattr(os, "pwrite", lambda fd, data, at: real(fd, data[: len(data) // 2], at) and _full())
        with pytest.raises(OSError, match="space"):
            writer.append([(2, b"b")])
    writer.append([(3, b"c")])
    assert documents(queue.reader().read(FOREVER)) == [b"a", b"c"]


def _full():
    raise OSError(28, "No space left on device")


def test_one_reads_at_a_time(queue):
    queue.writer().append([(1, b"a")])
    one, other = Lock(queue.directory, queue.internals), Lock(queue.directory, queue.internals)
    assert one.acquire()
    assert not other.acquire()
    one.release()
    assert other.acquire()
    other.release()


WRITE_AND_DIE = """
import os, sys
from zs3.events.queue import Writer
from zs3.store.durability import Durability
from zs3.store.internals import Internals
data, directory = map(os.fsencode, sys.argv[1:])
writer = Writer(directory, Internals(data, Durability(enabled=True, report=print)), 1 << 20)
writer.append([(1, b"a"), (2, b"b")])
os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_appended_is_read(queue):
    arguments = [os.fsdecode(queue.data), os.fsdecode(queue.directory)]
    assert subprocess.run([sys.executable, "-c", WRITE_AND_DIE, *arguments], check=False).returncode == -9
    reader = queue.reader()
    assert documents(reader.read(FOREVER)) == [b"a", b"b"]
    reader.done(reader.read(FOREVER))
    assert reader.read(FOREVER) == []
    assert queue.files() == []
