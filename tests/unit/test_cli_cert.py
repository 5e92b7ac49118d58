"""`zs3 cert`."""

import io
import json
import os
import stat

import pytest

from tests.certificates import Issued
from zs3.cli.main import main
from zs3.tls import pem, selfsigned


def run(*arguments):
    output, errors = io.StringIO(), io.StringIO()
    status = main(["cert", *map(str, arguments)], output, errors)
    return status, output.getvalue(), errors.getvalue()


@pytest.fixture
def path(data):
    return data / ".zs3" / "tls" / "server.pem"


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_it_is_made_where_the_daemon_looks_and_is_its_owners_alone(data, path, umask):
    data.chmod(0o750)
    old = os.umask(umask)
    try:
        status, _, errors = run("--data", data)
    finally:
        os.umask(old)
    assert (status, errors) == (0, "")
    assert [mode(each) for each in (path, path.with_suffix(".crt"), path.parent, data / ".zs3")] == [
        *(0o600, 0o644, 0o700, 0o750)
    ]
    assert sorted(os.listdir(path.parent)) == ["server.crt", "server.pem"]
    found = pem.parse(path.read_bytes())
    assert pem.pair(found.keys, found.certificates).names == tuple(
        each for each in selfsigned.names_of_this_machine() if isinstance(each, str)
    )


def test_what_clients_get_has_no_key_and_what_is_shown_neither(data, path):
    _, output, _ = run("--data", data)
    assert b"PRIVATE" not in path.with_suffix(".crt").read_bytes()
    assert "PRIVATE" not in output
    assert pem.fingerprint(pem.parse(path.read_bytes()).certificates[0]) in output
    assert f"told of {path.with_suffix('.crt')}" in output
    assert "AWS_CA_BUNDLE=server.crt" in output


def test_names_and_days_are_those_that_are_given(data, path):
    status, output, _ = run("--data", data, "--name", "s3.home.lan", "--name", "10.0.0.1", "--days", "900", "--json")
    assert status == 0
    about = json.loads(output)
    assert about["names"] == ["s3.home.lan", "10.0.0.1"]
    assert about["valid"]
    (certificate, _) = pem.parse(path.read_bytes()).certificates
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days == 899
    assert "no certificate that is valid for more than 825 days" in run("--data", data, "--days", 826, "--force")[1]
    assert "825" not in run("--data", data, "--days", 825, "--force")[1]


def test_it_does_not_take_the_place_of_another_unless_forced(data, path):
    run("--data", data)
    before = path.read_bytes()
    status, output, errors = run("--data", data)
    assert (status, output) == (1, "")
    assert errors.startswith(f"zs3: {path} is there already: ")
    assert path.read_bytes() == before
    assert run("--data", data, "--force")[0] == 0
    assert path.read_bytes() != before
    assert run("--data", data, "--show")[0] == 0
    assert sorted(os.listdir(path.parent)) == ["server.crt", "server.pem"]


def test_a_failure_leaves_the_old_one_and_nothing_else(data, path, monkeypatch):
    run("--data", data)
    before = path.read_bytes()

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    status, _, errors = run("--data", data, "--force")
    assert (status, errors) == (1, "zs3: [Errno 28] No space left on device\n")
    assert path.read_bytes() == before
    assert sorted(os.listdir(path.parent)) == ["server.crt", "server.pem"]


def test_it_is_made_at_another_place(tmp_path):
    file = tmp_path / "my.pem"
    status, output, _ = run("-o", file)
    assert status == 0
    assert f"--listen ssl:9443:privateKey={file};" in output
    assert sorted(os.listdir(tmp_path)) == ["my.crt", "my.pem"]
    assert run("-o", file, "--show")[0] == 0


def test_root_makes_it_for_the_owner_of_the_data(data, path, monkeypatch):
    given = {}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    real = os.stat(data)
    monkeypatch.setattr(
        os,
        "chown",
        lambda file, uid, gid: given.setdefault(os.fspath(file) if isinstance(file, str) else "file", (uid, gid)),
    )
    run("--data", data)
    assert set(given.values()) == {(real.st_uid, real.st_gid)}
    assert {"file", str(path.parent), str(data / ".zs3")} <= set(given)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--data", "/nowhere"], "/nowhere is not there"),
        (["--data", "/dev/null"], "/dev/null is not a directory"),
        (["-o", "/tmp/my.crt"], "a name like server.pem is needed"),
        (["-o", "/nowhere/my.pem"], "No such file or directory"),
    ],
)
def test_where_it_cannot_be_made_is_told(arguments, why):
    status, output, errors = run(*arguments)
    assert (status, output) == (1, "")
    assert why in errors


def test_a_wrong_name_is_told_before_anything_is_made(data):
    status, _, errors = run("--data", data, "--name", "büro.lan")
    assert status == 1
    assert "xn--" in errors
    assert os.listdir(data) == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--data", ".", "-o", "x.pem"],
        *(["--data", ".", "--days", each] for each in ("0", "3651", "-1", "many", "٣")),
        *(["--data", ".", "--show", *each] for each in (["--force"], ["--name", "a"], ["--days", "3"])),
    ],
)
def test_a_wrong_command_line_is_refused(arguments):
    with pytest.raises(SystemExit) as caught:
        run(*arguments)
    assert caught.value.code == 2


class TestShow:
    def test_it_tells_names_and_dates_and_touches_nothing(self, data, path):
        run("--data", data, "--name", "nas.lan")
        before = path.stat()
        status, output, _ = run("--data", data, "--show")
        assert status == 0
        assert "for      nas.lan\n" in output
        assert "until    20" in output
        assert path.stat() == before

    def test_there_is_none(self, data, path):
        status, _, errors = run("--data", data, "--show")
        assert status == 1
        assert errors == f"zs3: {path}: No such file or directory; `zs3 cert --data {data}` makes one\n"
        assert os.listdir(data) == []

    def test_a_key_of_another_certificate_is_told(self, tmp_path):
        file = tmp_path / "my.pem"
        file.write_bytes(Issued("one").key_pem + Issued("other").pem)
        status, _, errors = run("-o", file, "--show")
        assert (status, errors) == (1, f"zs3: {file}: the private key is not that of the certificate\n")

    @pytest.mark.parametrize(("days", "status"), [(-3, 1), (3, 0)])
    def test_one_that_expires_is_told(self, tmp_path, days, status):
        file = tmp_path / "my.pem"
        file.write_bytes(Issued("one", days=days).both)
        found, output, errors = run("-o", file, "--show")
        assert found == status
        assert ("It has expired on" if days < 0 else "It expires on") in output
        assert ("has expired on" in errors) == (days < 0)

    def test_what_others_may_read_and_what_clients_got_of_another_is_told(self, tmp_path):
        file = tmp_path / "my.pem"
        file.touch(0o600)
        file.write_bytes(Issued("one").both)
        assert "Others may read" not in run("-o", file, "--show")[1]
        file.chmod(0o640)  # for the group of the daemon, as certbot's hook in the manual makes it
        assert "Others may read" not in run("-o", file, "--show")[1]
        file.chmod(0o644)
        (tmp_path / "my.crt").write_bytes(Issued("other").pem)
        _, output, _ = run("-o", file, "--show")
        assert "Others may read the private key" in output
        assert f"{tmp_path / 'my.crt'} is of another one" in output
