"""A round: clients work on a file system whose device keeps a log; then the power fails at many places of the log."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from proof.blockdevice import launcher
from proof.blockdevice.ledger import Ledger, Wrong
from proof.blockdevice.log import MANNERS, Image, Log, opened, survivors
from proof.blockdevice.look import ask, look
from proof.blockdevice.mounts import mounted, unmount
from proof.blockdevice.workload import KEPT, PLAIN, Workload
from tests.contract.support import fired, open_client
from tests.e2e.daemon import Daemon
from tests.e2e.signed import Client

ROOT = Path(__file__).parents[2]
_MKFS = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-b", "4096", "-E", "nodiscard,lazy_itable_init=0"),
    "xfs": ("mkfs.xfs", "-q", "-K"),
    "btrfs": ("mkfs.btrfs", "-q", "-K"),
}
_SIZE = {"ext4": 256 << 20, "xfs": 320 << 20, "btrfs": 256 << 20}
#: Of so many cuts one is looked at through a daemon.
_BY_DAEMON = 50
_PATIENCE = 20


@dataclass
class Figures:
    """What came of some cuts.

    :ivar unflushed: writes that could be lost.
    :ivar dropped: those of them that were, whole or in part.
    :ivar by_daemon: cuts that were looked at through a daemon.
    :ivar wrong: what was found that must not be, by its kind.
    :ivar processor: seconds of it.
    :ivar told: what was found, in words.
    """

    cuts: int = 0
    operations: int = 0
    unflushed: int = 0
    dropped: int = 0
    by_daemon: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    processor: float = 0.0
    told: list[str] = field(default_factory=list)

    def add(self, other: Figures) -> None:
        self.cuts += other.cuts
        self.operations += other.operations
        self.unflushed += other.unflushed
        self.dropped += other.dropped
        self.by_daemon += other.by_daemon
        self.wrong += other.wrong
        self.seconds += other.seconds
        self.processor += other.processor
        self.told += other.told


@contextmanager
def scratch(directory: Path) -> Iterator[Path]:
    """A directory for what a round needs, gone after it."""
    place = Path(tempfile.mkdtemp(prefix="zs3-cuts-", dir=directory))
    try:
        yield place
    finally:
        shutil.rmtree(place)


@contextmanager
def _device(place: Path, image: Path) -> Iterator[Path]:
    """The file that keeps a log, in `place`, over an image."""
    device, position = place / "device", place / "position"
    device.touch()
    position.write_bytes(bytes(8))
    server = subprocess.Popen(
        [sys.executable, "-m", "proof.blockdevice.device", device, image, place / "log", position],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        # Control-C is for who unmounts it.
        start_new_session=True,
    )
    try:
        assert server.stdout is not None
        if server.stdout.readline() != b"mounted\n":
            raise OSError("the device could not be mounted")
        try:
            yield device
        finally:
            unmount(str(device))
        server.wait(_PATIENCE)
    finally:
        server.kill()
        server.wait()


def work(place: Path, kind: str, *, clients: int, operations: int, seed: int, without: str) -> tuple[Ledger, int, int]:
    """Let clients work on a new file system.

    :returns: what they did, and between which positions of the log.  In `place` is that ``log`` then, and the ``image``
        that it begins with.
    """
    image, live, mountpoint = place / "image", place / "live", place / "mount"
    with open(live, "wb") as file:
        file.truncate(_SIZE[kind])
    subprocess.run([*_MKFS[kind], live], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # What is empty is a hole: each cut makes a copy of it.
    subprocess.run(["cp", "--sparse=always", live, image], check=True)
    mountpoint.mkdir()
    ledger = Ledger()

    def position() -> int:
        return int.from_bytes(os.pread(counter, 8, 0), "little")

    with _device(place, live) as device, mounted(device, mountpoint, kind):
        counter = os.open(place / "position", os.O_RDONLY)
        home = place / "home"
        home.mkdir()
        data = mountpoint / "data"
        data.mkdir()
        # A daemon promises nothing of the directory that it is given.
        flush_directory(mountpoint)
        command = (sys.executable, "-P", launcher.__file__, without, "--nodaemon", "--pidfile=")
        daemon = Daemon(home, data, command=command)
        daemon.start()
        try:
            workload = Workload(daemon.plain, position, ledger)
            workload.prepare()
            start = position()
            workload.run(clients, operations, seed)
            stop = position()
            daemon.stop()
        except BaseException:
            daemon.kill()
            raise
        finally:
            os.close(counter)
    live.unlink()
    return ledger, start, stop


def flush_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def choose(log: Log, answers: list[int], start: int, stop: int, cuts: int, chance: random.Random) -> list[int]:
    """Where to cut: anywhere, as soon as something was answered, when most depends on what was flushed, and before a
    flush that had much to do."""
    flushes = [each for each in log.flushes if start <= each <= stop]
    answers = [each for each in answers if start <= each <= stop]
    chosen = []
    for _ in range(cuts):
        place = chance.randint(start, stop)
        if answers and chance.random() < 0.33:
            place = chance.choice(answers)
        elif flushes and chance.random() < 0.5:
            place = max(chance.choices(flushes, k=4), key=lambda each: each - log.flushed(each))
        chosen.append(place)
    return sorted(chosen)


def cut(place: Path, kind: str, log: Log, ledger: Ledger, positions: list[int], seed: int, figures: Figures) -> None:
    """Let the power fail at each of the positions, in order, and look at what is left."""
    chance = random.Random(seed)
    image = Image(place / "image", log)
    copy, mountpoint = place / "cut", place / "mount"
    try:
        for position in positions:
            flushed = log.flushed(position)
            image.advance(flushed)
            pending = log.writes(flushed, position)
            manner = chance.choice(MANNERS)
            left = survivors(pending, manner, chance)
            image.copy(copy, left)
            figures.cuts += 1
            figures.unflushed += len(pending)
            figures.dropped += len(set(pending) - set(left))
            by_daemon = figures.cuts % _BY_DAEMON == 0
            figures.by_daemon += by_daemon
            where = f"{kind}, position {position}, flushed up to {flushed}, {manner} of {len(pending)} writes left"
            # A file system that cannot be mounted ends the run: then it, or the device, is not understood.
            with mounted(copy, mountpoint, kind):
                wrong = _look(place, mountpoint / "data", ledger, position, by_daemon)
            figures.wrong.update(each.split(":")[0] for each in wrong)
            figures.told += [f"{where}: {each}" for each in wrong]
            copy.unlink()
    finally:
        image.close()


def _look(place: Path, data: Path, ledger: Ledger, position: int, by_daemon: bool) -> list[str]:
    """What is wrong with what a store, or a daemon, tells of what is left."""
    try:
        if by_daemon:
            daemon = Daemon(place / "home", data)
            daemon.start()
            client = Client(daemon.plain)
            try:
                return [_tell(each) for each in ledger.check(ask(client), position)]
            finally:
                client.close()
                daemon.kill()
        local = open_client(data)
        try:
            wrong = [_tell(each) for each in ledger.check(look(local), position)]
            rubbish = [path.name for path in data.glob(".zs3/tmp/*/*") if path.name != "owner"]
            if rubbish:
                wrong.append(f"ghost: temporary files {rubbish}")
            # It goes on to work.
            if not wrong:
                for bucket in (PLAIN, KEPT):
                    local.put("new/after it", b"data", bucket=bucket)
                    assert local.get("new/after it", bucket) == b"data"
                    assert local.delete("new/after it", bucket)
            return wrong
        finally:
            fired(local.store.stop())
    except Exception as error:
        return [f"failed: {error!r}"]


def _tell(wrong: Wrong) -> str:
    return f"{wrong.kind}: {wrong.register}: found {wrong.found}, allowed {wrong.allowed}"


def run(
    directory: Path,
    kind: str,
    *,
    cuts: int,
    seed: int,
    clients: int = 6,
    operations: int = 120,
    without: str = "nothing",
) -> Figures:
    """One round on a new file system.

    :param directory: where there is room for it; in memory it is quick.
    :param kind: of file system.
    :param without: which fsync the daemon leaves out, see `proof.blockdevice.launcher.KINDS`.
    """
    figures = Figures()
    began, used = time.monotonic(), sum(os.times()[:4])
    with scratch(directory) as place:
        ledger, start, stop = work(place, kind, clients=clients, operations=operations, seed=seed, without=without)
        with opened(place / "log") as log:
            positions = choose(log, ledger.answers, start, stop, cuts, random.Random(seed))
            cut(place, kind, log, ledger, positions, seed, figures)
    figures.operations = len(ledger.answers)
    figures.seconds = time.monotonic() - began
    figures.processor = sum(os.times()[:4]) - used
    return figures
