"""The directory in which workers count: in memory, private, and gone when its daemon is."""

import os
import stat

from zs3.metrics.shared import SharedDirectory, processes
from zs3.store import kernel


def of(path):
    return SharedDirectory({"RUNTIME_DIRECTORY": str(path)})


def test_it_is_for_this_user_alone_and_in_memory():
    directory = SharedDirectory({})
    directory.make()
    try:
        status = os.stat(directory.path)
        assert stat.S_IMODE(status.st_mode) == 0o700
        fd = os.open(directory.path, os.O_RDONLY)
        assert kernel.filesystem_type(fd) == kernel.TMPFS
        os.close(fd)
    finally:
        directory.remove()
    assert not os.path.exists(directory.path)


def test_a_runtime_directory_that_is_on_a_disk_is_not_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(kernel, "filesystem_type", lambda _: kernel.EXT)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    # Nothing here is in memory: better there than not at all.
    assert of(tmp_path / "run").path.startswith(str(tmp_path) + "/zs3-metrics-")


def test_what_dead_daemons_left_is_removed_and_what_others_have_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(kernel, "filesystem_type", lambda _: kernel.TMPFS)
    living, dead = of(tmp_path), of(tmp_path)
    for each in (living, dead):
        each.make()
    (tmp_path / "zs3-metrics-dead" / "table").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    os.symlink(tmp_path / "other", tmp_path / "zs3-metrics-link")
    os.close(dead._fd)  # as the kernel does when a process is killed

    new = of(tmp_path)
    new.make()
    left = {each.name for each in tmp_path.iterdir()}
    assert left == {os.path.basename(each.path) for each in (living, new)} | {"other", "zs3-metrics-link"}
    for each in (living, new):
        each.remove()


def test_a_worker_whose_end_was_told_is_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(kernel, "filesystem_type", lambda _: kernel.TMPFS)
    directory = of(tmp_path)
    directory.make()
    for number in (1, 2):
        with open(f"{directory.path}/worker-{number}", "w") as file:
            file.write(str(100 + number))
    assert dict(processes(directory.path)) == {0: os.getppid(), 1: 101, 2: 102}
    directory.worker_ended(1)
    directory.worker_ended(1)
    assert dict(processes(directory.path)) == {0: os.getppid(), 2: 102}
    directory.remove()
