"""What `zs3 doctor` says of mounts, buckets, the clock, limits and permissions."""

import errno
import os
import time
from dataclasses import replace

import pytest

from tests.doctors import failing, told
from zs3.doctor import buckets, clock, limits, mounts, permissions, scratch, software
from zs3.doctor.findings import Verdict

OK, NOTE, WARNING, PROBLEM = Verdict


@pytest.fixture
def place(data):
    """A scratch directory in an empty data directory, which is empty again afterwards."""
    with scratch.made(os.fsencode(data)) as place:
        yield place
    assert list(data.iterdir()) == []


# Mounts

LINE = "36 35 98:0 / {point} {mount} shared:1 - {kind} {source} {options}"


def mount(kind, options="rw", mount="rw,relatime", point="/srv/s3", source="/dev/sda1"):
    (found,) = mounts.parse(LINE.format(kind=kind, options=options, mount=mount, point=point, source=source))
    return found


def test_the_lines_of_mountinfo_are_parsed():
    found = mount("ext4", "rw,data=ordered", point=r"/srv/my\040disk", source="/dev/mapper/a-b")
    assert (found.identifier, found.kind, found.point, found.source) == (36, "ext4", "/srv/my disk", "/dev/mapper/a-b")
    assert found.options == {"rw": "", "relatime": "", "data": "ordered"}
    assert mounts.parse("nonsense\n1 2 3\n") == []


def test_what_this_process_sees_mounted_is_parsed(data):
    found = mounts.mount_of(os.fsencode(data))
    assert found is not None
    assert str(data).startswith(found.point)
    assert {"rw", "ro"} & found.options.keys()


@pytest.mark.parametrize(
    ("kind", "options", "verdict"),
    [
        ("ext4", "rw", OK),
        ("xfs", "rw", OK),
        ("tmpfs", "rw", WARNING),
        ("overlay", "rw", WARNING),
        ("vfat", "rw", WARNING),
        ("jffs2", "rw", NOTE),
        ("nfs4", "rw,vers=4.2,hard,local_lock=none", NOTE),
        ("nfs4", "rw,vers=4.2,hard,noac,local_lock=none", OK),
        ("nfs4", "rw,vers=4.2,soft", PROBLEM),
        ("nfs", "rw,vers=3,hard,nolock,local_lock=all", PROBLEM),
        ("nfs", "rw,vers=3,hard,local_lock=flock", NOTE),
        ("cifs", "rw,actimeo=1", NOTE),
        ("cifs", "rw,nobrl", PROBLEM),
        ("fuse.sshfs", "rw", NOTE),
        ("fuseblk", "rw", NOTE),
    ],
)
def test_the_kind_of_file_system_is_judged(kind, options, verdict):
    assert told(mounts.judge_type(mount(kind, options))) is verdict


@pytest.mark.parametrize(
    ("kind", "options", "delay"),
    [
        ("nfs4", "rw", 60),
        ("nfs4", "rw,acregmax=3", 60),
        ("nfs4", "rw,acregmax=3,acdirmax=5", 5),
        ("nfs4", "rw,noac", 0),
        ("cifs", "rw,actimeo=1,closetimeo=2", 2),
        ("ceph", "rw", None),
    ],
)
def test_how_late_the_changes_of_other_hosts_are_seen_is_told(kind, options, delay):
    assert mounts.attribute_delay(mount(kind, options)) == delay


@pytest.mark.parametrize(
    ("mounted", "options", "verdict"),
    [
        ("rw,relatime", "rw", OK),
        ("rw,noatime", "rw", OK),
        ("rw", "rw", NOTE),
        ("rw,relatime", "rw,sync", NOTE),
        ("ro,relatime", "rw", WARNING),
        ("rw,relatime", "rw,barrier=0", PROBLEM),
        ("rw,relatime", "rw,nobarrier", PROBLEM),
    ],
)
def test_options_are_judged(mounted, options, verdict):
    found = mounts.judge_options(mount("ext4", options, mounted))
    assert told(found) is verdict
    assert "/srv/s3" in found.advice or verdict is OK


def room(available, total, inodes_left=10**6, inodes=10**7):
    return os.statvfs_result(
        (4096, 4096, total // 4096, available // 4096, available // 4096, inodes, inodes_left, inodes_left, 0, 255)
    )


@pytest.mark.parametrize(
    ("found", "space", "inodes"),
    [
        (room(10**12, 10**13), OK, OK),
        (room(0, 10**13), PROBLEM, OK),
        (room(10**8, 10**13), WARNING, OK),
        (room(5 * 10**10, 10**13), WARNING, OK),
        (room(10**12, 10**13, 100), OK, WARNING),
        (room(10**12, 10**13, 0), OK, PROBLEM),
        (room(10**12, 10**13, 0, 0), OK, OK),
        (room(80 << 20, 96 << 20), OK, OK),
    ],
)
def test_room_is_judged(found, space, inodes):
    assert [told(each) for each in mounts.judge_room(found)] == [space, inodes]


# Buckets


def looked_at(data, *, points=()):
    found = [replace(mount("ext4"), point=str(point)) for point in points]
    return {each.check: each for each in buckets.examine(os.fsencode(data), found)}


def test_buckets_are_counted_and_not_touched(data):
    for name in ("photos", "music", ".hidden", "lost+found"):
        (data / name).mkdir()
    before = [(path.name, path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in sorted(data.iterdir())]
    found = looked_at(data)
    assert list(found) == ["buckets.count"]
    assert found["buckets.count"].values["buckets"] == 2
    assert [(path.name, path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in sorted(data.iterdir())] == before


def test_directories_that_are_no_buckets_are_one_note(data):
    for name in ("my photos", os.fsdecode(b"caf\xe9"), *(f"_{number}" for number in range(20))):
        (data / name).mkdir()
    found, count = buckets.examine(os.fsencode(data), [])
    assert told(found) is NOTE
    assert len(found.values["names"]) == 22
    assert len(found.fact) < 150
    assert (count.values["buckets"], count.values["other_directories"]) == (0, 22)


def test_a_bucket_that_is_a_link_is_told_with_where_it_is_staged(data, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (data / "photos").symlink_to(tmp_path / "elsewhere")
    found = looked_at(data)["buckets.elsewhere"]
    assert told(found) is OK
    assert found.values == {"bucket": "photos", "symlink": True, "mount": False, "staged": "data"}
    monkeypatch.setattr(buckets, "can_rename", lambda *_: False)
    found = looked_at(data)["buckets.elsewhere"]
    assert found.values["staged"] == "bucket"
    assert list((tmp_path / "elsewhere").iterdir()) == []
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert told(looked_at(data)["buckets.elsewhere"]) is WARNING


def test_a_link_that_leads_nowhere_is_a_warning(data, tmp_path):
    (data / "photos").symlink_to(tmp_path / "missing")
    (data / "loop").symlink_to("loop")
    found = looked_at(data)
    assert told(found["buckets.link"]) is WARNING
    assert told(found["buckets.trouble"]) is WARNING


def test_a_mount_point_within_a_bucket_is_a_warning(data):
    (data / "photos").mkdir()
    found = looked_at(data, points=[data / "photos", data / "photos/old", data / ".zs3/x", "/elsewhere/a/b"])
    assert found["buckets.mounts"].values["point"] == str(data / "photos/old")
    assert told(found["buckets.mounts"]) is WARNING


def test_a_bucket_that_folds_case_is_a_problem(data, monkeypatch):
    (data / "photos").mkdir()
    monkeypatch.setattr(buckets, "_flags", lambda _: 0x40000000)
    assert told(looked_at(data)["buckets.case"]) is PROBLEM


def test_another_project_cannot_be_renamed_into(data, monkeypatch):
    (data / "photos").mkdir()
    root, bucket = (os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (data, data / "photos"))
    try:
        assert buckets.can_rename(root, bucket)
        projects = {root: (False, 0), bucket: (True, 7)}
        monkeypatch.setattr(buckets, "_project", projects.__getitem__)
        assert not buckets.can_rename(root, bucket)
    finally:
        os.close(root)
        os.close(bucket)


@pytest.mark.parametrize(("text", "verdict"), [
    ('{"version":"1","format":"fs","id":"x","fs":{"version":"2"}}', NOTE),
    ('{"version":"1","format":"xl-single","id":"x","xl":{}}', PROBLEM),
    ('{"version":"1","format":"xl","id":"x","xl":{}}', PROBLEM),
])  # fmt: skip
def test_what_minio_left_is_told(data, text, verdict):
    (data / ".minio.sys").mkdir()
    (data / ".minio.sys/format.json").write_text(text)
    assert told(looked_at(data)["buckets.minio"]) is verdict


@pytest.mark.parametrize("text", ["", "[]", "{}", "1"])
def test_what_only_looks_like_minio_is_passed_over(data, text):
    (data / ".minio.sys").mkdir()
    (data / ".minio.sys/format.json").write_text(text)
    assert list(looked_at(data)) == ["buckets.count"]


# The clock, limits, the kernel


@pytest.mark.parametrize(("state", "verdict"), [(True, OK), (False, NOTE), (None, NOTE)])
def test_whether_the_clock_is_kept_right_is_told(monkeypatch, state, verdict):
    monkeypatch.setattr(clock, "synchronised", lambda: state)
    assert [told(each) for each in clock.examine()] == [OK, verdict]


def test_the_kernel_says_whether_the_clock_is_kept_right():
    assert clock.synchronised() in (True, False, None)


def test_a_clock_of_1970_is_a_problem(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 86400.0)
    assert told(next(clock.examine())) is PROBLEM


@pytest.mark.parametrize(("skew", "verdict"), [(0, OK), (1, OK), (-1, OK), (60, WARNING), (-60, WARNING)])
def test_the_clock_of_a_file_server_is_compared(place, monkeypatch, skew, verdict):
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - skew)
    finding = clock.of_filesystem(place)
    assert told(finding) is verdict
    assert finding.values["skew_s"] == pytest.approx(skew, abs=0.5)


@pytest.mark.parametrize(("judge", "value", "verdict"), [
    (limits.judge_files, 65536, OK),
    (limits.judge_files, -1, OK),
    (limits.judge_files, 1024, NOTE),
    (limits.judge_files, 256, PROBLEM),
    (limits.judge_file_size, -1, OK),
    (limits.judge_file_size, 1 << 30, PROBLEM),
    (limits.judge_watches, 524288, OK),
    (limits.judge_watches, 128, NOTE),
    (software.judge_kernel, "6.18.0-generic", OK),
    (software.judge_kernel, "6.1.0-28-amd64", NOTE),
    (software.judge_kernel, "4.19.0", WARNING),
    (software.judge_kernel, "strange", WARNING),
])  # fmt: skip
def test_limits_and_the_kernel_are_judged(judge, value, verdict):
    assert told(judge(value)) is verdict


# Permissions

USERS = '[users.alice]\naccess_key = "ALICE"\nsecret_key = "alices-secret"\nrole = "admin"\n'


def permitted(data, users_file=None):
    return {each.check: each for each in permissions.examine(str(data), users_file)}


def write(path, mode=0o600, text=USERS):
    path.parent.mkdir(0o700, parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_a_new_directory_is_in_order(data):
    found = permitted(data)
    assert {told(each) for each in found.values()} == {OK}
    assert found["permissions.internals"].values == {"exists": False}


def test_a_directory_that_everybody_can_write_to_is_a_problem(data):
    data.chmod(0o777)
    assert told(permitted(data)["permissions.data"]) is PROBLEM
    data.chmod(0o1777)
    assert told(permitted(data)["permissions.data"]) is OK


def test_what_this_user_may_not_is_told(data, monkeypatch):
    monkeypatch.setattr(os, "access", lambda _path, mode: not mode & os.W_OK)
    assert told(permitted(data)["permissions.data"]) is WARNING
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert told(permitted(data)["permissions.data"]) is PROBLEM


def test_another_user_than_that_of_the_daemon_is_a_note(data, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(data).st_uid + 1)
    found = permitted(data)["permissions.user"]
    assert told(found) is NOTE
    assert "sudo -u" in found.advice


def test_internals_of_another_user_are_a_problem(data, monkeypatch):
    (data / ".zs3").mkdir()
    assert told(permitted(data)["permissions.internals"]) is OK
    monkeypatch.setattr(os, "access", lambda path, _mode: not str(path).endswith(".zs3"))
    assert told(permitted(data)["permissions.internals"]) is PROBLEM


def test_internals_that_are_no_directory_or_everybodys_are_a_problem(data, tmp_path):
    (data / ".zs3").symlink_to(tmp_path)
    assert told(permitted(data)["permissions.internals"]) is PROBLEM
    (data / ".zs3").unlink()
    (data / ".zs3").mkdir()
    (data / ".zs3").chmod(0o777)
    assert told(permitted(data)["permissions.internals"]) is PROBLEM


def test_a_group_that_this_user_is_not_in_is_a_note(data, monkeypatch):
    data.chmod(0o770)
    uid, gid = os.stat(data).st_uid, os.stat(data).st_gid
    monkeypatch.setattr(os, "geteuid", lambda: uid or 1000)
    monkeypatch.setattr(os, "getgroups", lambda: [gid])
    assert told(permitted(data)["permissions.group"]) is OK
    monkeypatch.setattr(os, "getgroups", list)
    monkeypatch.setattr(os, "getegid", lambda: gid + 1)
    assert told(permitted(data)["permissions.group"]) is NOTE


def test_credentials_are_looked_at_as_the_daemon_does(data):
    path = data / ".zs3/private/credentials"
    write(path)
    found = permitted(data)["permissions.credentials"]
    assert told(found) is OK
    assert found.values["users"] == 1
    path.chmod(0o644)
    found = permitted(data)["permissions.credentials"]
    assert told(found) is PROBLEM
    assert "chmod 600" in found.fact
    assert "alices-secret" not in found.fact
    path.chmod(0o600)
    path.parent.chmod(0o777)
    assert told(permitted(data)["permissions.credentials"]) is PROBLEM


def test_a_users_file_is_looked_at(data, tmp_path, monkeypatch):
    path = tmp_path / "users.toml"
    assert told(permitted(data, str(path))["permissions.users"]) is PROBLEM
    assert told(permitted(data, write(path))["permissions.users"]) is OK
    assert told(permitted(data, write(path, text="nonsense"))["permissions.users"]) is PROBLEM
    assert told(permitted(data, write(path, text=USERS + "enabled = false\n"))["permissions.users"]) is WARNING
    monkeypatch.setattr(permissions.usersfile, "read_users", failing(errno.EACCES))
    assert told(permitted(data, str(path))["permissions.users"]) is NOTE
