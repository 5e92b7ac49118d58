"""What `zs3 doctor` says of a mount of GlusterFS, by what that tells of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doctors import told
from zs3.doctor import gluster, mounts
from zs3.doctor.findings import Finding, Verdict

OK, NOTE, WARNING, _ = Verdict
COHERENT = "/usr/sbin/glusterfs --attribute-timeout=0 --entry-timeout=0 --negative-timeout=0 --volfile-id=/s3 /mnt\n"
PARTS = ["meta-autoload", "s3", "s3-client-0", "s3-client-1", "s3-client-2", "s3-dht", "s3-replicate-0", "top"]


def found(
    mount: Path, command: str = COHERENT, caches: tuple[str, ...] = (), copies: int = 3, ping: str = "5"
) -> dict[str, Finding]:
    graph = mount / ".meta/graphs/active"
    for part in (*PARTS, *(f"s3-{each}" for each in caches)):
        (graph / part / "options").mkdir(parents=True)
    (mount / ".meta/cmdline").write_text(command, "utf-8")
    names = ",".join(f"s3-client-{number}" for number in range(copies))
    (graph / "s3-replicate-0/options/afr-pending-xattr").write_text(names, "utf-8")
    for number in range(3) if ping else ():
        (graph / f"s3-client-{number}/options/ping-timeout").write_text(ping + "\n", "utf-8")
    return {each.check: each for each in gluster.examine(str(mount))}


def test_a_mount_that_remembers_nothing_is_in_order(tmp_path: Path) -> None:
    findings = found(tmp_path)
    assert {told(each) for each in findings.values()} == {OK}
    assert findings["mount.gluster-replicas"].values == {"copies": 3, "ping_timeout_s": 5}


@pytest.mark.parametrize(
    ("command", "caches", "advice"),
    [
        (COHERENT, ("md-cache",), "performance.stat-prefetch off"),
        (
            COHERENT,
            ("write-behind", "io-cache"),
            "performance.io-cache off; gluster volume set VOLUME performance.write-",
        ),
        ("/usr/sbin/glusterfs --volfile-id=/s3 /mnt", (), "attribute-timeout=0,entry-timeout=0"),
        (COHERENT.replace("entry-timeout=0", "entry-timeout=600"), (), "the options entry-timeout=0"),
        (COHERENT.replace("negative-timeout=0", "negative-timeout=0.5"), (), "the options negative-timeout=0"),
    ],
)
def test_what_is_remembered_is_told_with_what_to_change(
    tmp_path: Path, command: str, caches: tuple[str, ...], advice: str
) -> None:
    finding = found(tmp_path, command, caches)["mount.gluster-caches"]
    assert told(finding) is WARNING
    assert advice in finding.advice


@pytest.mark.parametrize(
    ("copies", "ping", "verdict"), [(2, "5", WARNING), (3, "42", NOTE), (3, "", NOTE), (3, "10", OK)]
)
def test_what_a_host_that_fails_does_to_the_others(tmp_path: Path, copies: int, ping: str, verdict: Verdict) -> None:
    assert told(found(tmp_path, copies=copies, ping=ping)["mount.gluster-replicas"]) is verdict


def test_a_mount_that_tells_nothing(tmp_path: Path) -> None:
    (finding,) = gluster.examine(str(tmp_path))
    assert told(finding) is NOTE


def test_it_is_asked_where_glusterfs_is_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mount = mounts.Mount(1, str(tmp_path), "fuse.glusterfs", "host:/s3", {"rw": "", "relatime": ""})
    monkeypatch.setattr(mounts, "mount_of", lambda _: mount)
    checks = {each.check: told(each) for each in mounts.examine(bytes(tmp_path))}
    assert checks["mount.type"] is OK
    assert checks["mount.gluster-caches"] is NOTE
