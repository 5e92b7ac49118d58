"""Faults in the daemon's own system calls, by strace: an errno in place of the n-th call, or a kill -9 at it."""

from __future__ import annotations

import http.client
import itertools
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.e2e.daemon import ACCESS_KEY, PATIENCE, SECRET_KEY, Daemon
from tests.e2e.plainhttp import Response, connect
from tests.e2e.webhook import targets_file
from tests.faults import Expected, Wrong, check, check_again, check_answer, check_rubbish, expect
from tests.mutations import Answer, Client, Mutation, failure
from zs3.auth.users import User

#: What opens or changes files, however it comes to be called.
CALLS = (
    *("open", "openat", "openat2", "creat", "write", "writev", "pwrite64", "pwritev", "pwritev2", "copy_file_range"),
    *("sendfile", "splice", "fallocate", "ftruncate", "truncate", "fsync", "fdatasync", "sync_file_range", "syncfs"),
    *("rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir"),
    *("setxattr", "lsetxattr", "fsetxattr", "utimensat", "chmod", "fchmod", "fchmodat", "chown", "fchown", "fchownat"),
)
ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EMFILE")
KILL = "KILL"


def can_trace() -> bool:
    """Whether strace is there and may attach to a process of ours."""
    if shutil.which("strace") is None:
        return False
    victim = subprocess.Popen(["sleep", "60"])
    try:
        with strace([victim.pid], "-e", "trace=fsync"):
            return True
    except AssertionError:
        return False
    finally:
        victim.kill()
        victim.wait()


@contextmanager
def strace(threads: list[int], *arguments: str) -> Iterator[list[str]]:
    """strace attached to these threads for a block; a list that has its lines once the block is over."""
    lines: list[str] = []
    with tempfile.NamedTemporaryFile(prefix="strace-") as output:
        attach = [word for thread in threads for word in ("-p", str(thread))]
        process = subprocess.Popen(
            ["strace", "-o", output.name, *arguments, *attach], stderr=subprocess.PIPE, text=True, bufsize=1
        )
        assert process.stderr is not None
        try:
            for _ in threads:
                line = process.stderr.readline()
                assert "attached" in line, line
            yield lines
        finally:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
            process.stderr.read()
            process.wait(PATIENCE)
            process.stderr.close()
            lines += output.read().decode().splitlines()


def disk_threads(daemon: Daemon) -> list[int]:
    """The threads of a daemon that work on the disk: all but the reactor's."""
    return sorted(int(name) for name in os.listdir(f"/proc/{daemon.pid}/task") if int(name) != daemon.pid)


#: The reactor is woken by a byte through a socket or pipe: that is no disk.
_NO_FILE = re.compile(r"(?:\d+ +)?\w+\(\d+<\w+:")
#: Bodies come in other pieces than when the calls were counted: so often a call of a file is waited for.
_TRIES = 5


class Victim:
    """A daemon with one thread for the disk, to which faults happen.

    :ivar injected: how many faults there were.
    """

    def __init__(self, home: Path, data: Path) -> None:
        self.data = data
        self.injected = 0
        data.mkdir(exist_ok=True)
        # Nobody listens there: what is announced waits.
        targets = targets_file(home, "http://127.0.0.1:9/")
        self.daemon = Daemon(home.absolute(), data.absolute(), "--threads", "1", "--event-targets", str(targets))
        self._buckets = (f"bucket{number}" for number in itertools.count())
        self._expected: dict[str, Expected] = {}
        self._connection: http.client.HTTPConnection | None = None
        self._start()

    def _start(self) -> None:
        self.daemon.start()
        self.client = Client(self._send, self.daemon.plain.address, User(ACCESS_KEY, SECRET_KEY, "admin", None, "root"))

    def _send(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        if self._connection is None:
            self._connection = connect(self.daemon.plain)
        try:
            self._connection.request(method, target, body, headers)
            answer = self._connection.getresponse()
            found = Response(answer.status, answer.headers, answer.read())
            if answer.will_close:
                self._hang_up()
            return found
        except BaseException:
            self._hang_up()
            raise

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def restart(self) -> None:
        """End it, if it lives, start it again, and see that nothing is left of what went wrong."""
        self.close()
        self._start()
        check_rubbish(self.data, restarted=True)

    def close(self) -> None:
        self._hang_up()
        with suppress(ProcessLookupError):
            self.daemon.kill()

    def expected(self, mutation: Mutation) -> Expected:
        if mutation.name not in self._expected:
            self._expected[mutation.name] = expect(self.client, next(self._buckets), mutation)
        return self._expected[mutation.name]

    def calls(self, mutation: Mutation) -> list[tuple[str, int]]:
        """The calls of `CALLS` that an operation makes on files: of what kind, and which of its kind."""
        expected, bucket = self.expected(mutation), next(self._buckets)
        prepared = mutation.prepare(self.client, bucket)
        with strace(disk_threads(self.daemon), "-y", "-e", "trace=" + ",".join("?" + name for name in CALLS)) as lines:
            mutation.run(self.client, bucket, prepared)
            self._wait_for_the_thread()
        check(self.client, bucket, mutation, expected, answered=True)
        found, counts = [], Counter[str]()
        for line in lines:
            call = re.match(r"(?:\d+ +)?(\w+)\(", line)
            if call is not None:
                counts[call[1]] += 1
                if not _NO_FILE.match(line):
                    found.append((call[1], counts[call[1]]))
        return found

    def inject(self, mutation: Mutation, call: str, number: int, fault: str) -> None:
        """Let a fault happen at the n-th call of a kind in an operation, and see what has come of it.

        :raises Wrong: what must not be.
        """
        where = f"{mutation.name}: {fault} at {call} {number}"
        try:
            for _ in range(_TRIES):
                if self._inject(mutation, call, number, fault):
                    return
                if call == "write":
                    number = max(1, number - 1)
            raise Wrong("not injected")
        except Wrong as wrong:
            raise Wrong(f"{where}: {wrong}") from None
        except (OSError, http.client.HTTPException) as error:
            raise Wrong(f"{where}: afterwards {error!r}") from None

    def _inject(self, mutation: Mutation, call: str, number: int, fault: str) -> bool:
        """:returns: whether it has happened to a file."""
        expected, bucket = self.expected(mutation), next(self._buckets)
        prepared = mutation.prepare(self.client, bucket)
        what = f"signal={fault}" if fault == KILL else f"error={fault}"
        answer: Answer | None = None
        unanswered: Exception | None = None
        with strace(
            disk_threads(self.daemon), "-y", "-e", f"trace={call}", "-e", f"inject={call}:{what}:when={number}"
        ) as lines:
            try:
                answer = mutation.run(self.client, bucket, prepared)
            except (OSError, http.client.HTTPException) as error:
                unanswered = error
            self._wait_for_the_thread()
        if fault == KILL:
            # It may have come to what waits for the thread, and after the answer.
            made = sum(f"{call}(" in line for line in lines)
            if unanswered is None and made < number and not any("killed by" in line for line in lines):
                return False
            if not self.daemon.has_ended(PATIENCE):
                raise Wrong("not killed")
            self.restart()
        else:
            hit = [line for line in lines if "(INJECTED)" in line]
            if unanswered is not None:
                raise Wrong(f"no answer but {unanswered!r}; {hit}")
            if not hit or _NO_FILE.match(hit[0]):
                return False
            assert answer is not None
            check_answer(answer)
            if call.startswith("unlink"):
                # What could not be removed then is, at the next start.
                self.restart()
            else:
                check_rubbish(self.data, restarted=False)
        self.injected += 1
        check(self.client, bucket, mutation, expected, answered=answer is not None and not failure(answer))
        check_again(self.client, bucket, mutation, expected, prepared)
        self._forget(bucket)
        return True

    def _forget(self, bucket: str) -> None:
        """Let others remove a bucket, so that there are not more and more."""
        shutil.rmtree(self.data / bucket, ignore_errors=True)
        for upload in (self.data / ".uploads").iterdir():
            shutil.rmtree(upload, ignore_errors=True)

    def _wait_for_the_thread(self) -> None:
        """Return when the one thread has done all it had to: it takes its work in turn."""
        with suppress(OSError, http.client.HTTPException):
            self.client("GET", "/absent", {"uploads": ""})
