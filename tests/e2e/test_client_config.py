"""`zs3 client-config`: what it prints, given to the clients as it is."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import tomlkit

from tests.e2e.conftest import Run
from tests.e2e.daemon import Daemon, Endpoint, isolated_environment, program, running
from zs3.auth.generated import create_file, credentials_path, ensure_users_file

#: Every kind of character that some format or shell takes for something else.
ODD = """o"d'd `%20 %s$HOME ;#=:[x]\\n{}~!&|<>*?(y)@^+,./-_""".replace(" ", "")
RESTIC = shutil.which("restic")


@dataclass(frozen=True)
class Served:
    """A daemon and the users file that it has."""

    daemon: Daemon
    users: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("client config")
    users = home / "users.toml"
    users.touch(0o600)
    users.write_text(
        tomlkit.dumps(
            {
                "users": {
                    "odd": {"access_key": "ODD~.@+-KEY", "secret_key": ODD, "role": "admin"},
                    "other": {"access_key": "OTHER", "secret_key": "never-to-be-used", "role": "reader"},
                }
            }
        )
    )
    with running(home, home / "data", "--auth", f"zs3:{users}", "--region", "eu-home-1") as daemon:
        yield Served(daemon, users)


@pytest.fixture(params=["plain", "tls"])
def address(request: pytest.FixtureRequest, served: Served) -> Endpoint:
    return served.daemon.plain if request.param == "plain" else served.daemon.tls


@pytest.fixture
def config(run: Run, served: Served, address: Endpoint) -> Callable[..., str]:
    """`config(client, option, ...)`: what is printed."""
    trust = ["--ca-file", str(address.certificate)] if address.secure else []
    where = ["--endpoint", address.url, "--region", "eu-home-1", *trust]

    def config(client: str, *options: str | Path) -> str:
        return run("zs3", "client-config", client, "--users", served.users, "--user", "odd", *where, *options)

    return config


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """What is stored."""
    path = tmp_path / "what is stored"
    path.write_text("stored")
    return path


@pytest.fixture
def shell(tmp_path: Path) -> Callable[[str, str], str]:
    """`shell(script, command)` sources what was printed, and gives the standard output of the command."""

    def shell(script: str, command: str) -> str:
        (tmp_path / "script").write_text(script)
        ended = subprocess.run(
            ["/bin/sh", "-euc", f". ./script; {command}"],
            cwd=tmp_path,
            env=isolated_environment(tmp_path, AWS_EC2_METADATA_DISABLED="true", RESTIC_PASSWORD="e2e"),
            capture_output=True,
            timeout=90,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr.decode()
        return ended.stdout.decode()

    return shell


def test_the_commands_of_the_manual_make_configurations(shell: Callable[[str, str], str], tmp_path: Path) -> None:
    manual = (Path(__file__).parents[2] / "docs/clients.rst").read_text("utf-8")
    block = manual.partition(".. code-block:: shell\n\n")[2].partition("\n\n``")[0].partition("\n\nThe key pair")[0]
    script = textwrap.dedent(block).replace("/etc/zs3/users.toml", str(tmp_path / "users.toml"))
    assert script.count("zs3 client-config ") == 5
    (tmp_path / "s3/.zs3").mkdir(parents=True)
    ensure_users_file(credentials_path(str(tmp_path / "s3")))
    pair = re.findall(r'_key = "([^"]+)"', Path(credentials_path(str(tmp_path / "s3"))).read_text())
    users = b'[users.camera]\naccess_key = "CAMERA"\nsecret_key = "lens-cap"\nrole = "writer"\n'
    create_file(str(tmp_path / "users.toml"), users)
    (tmp_path / ".aws").mkdir()
    (tmp_path / "config/rclone").mkdir(parents=True)
    (tmp_path / ".config").symlink_to(tmp_path / "config")
    told = shell(script, 'printf \'%s %s\' "$AWS_ACCESS_KEY_ID" "$RESTIC_REPOSITORY"')
    assert "export AWS_ACCESS_KEY_ID=CAMERA\n" in told
    assert told.endswith(f"{pair[0]} s3:http://127.0.0.1:9000/backup")
    for name in (".aws/config", ".config/rclone/rclone.conf", ".s3cfg", "restic.env"):
        text = (tmp_path / name).read_text()
        assert all(key in text for key in pair), name


def stored(served: Served, bucket: str, key: str) -> str:
    """The file that an object is."""
    return (served.daemon.data / bucket / key).read_text()


def test_aws_cli_reads_the_profile(
    config: Callable[..., str], run: Run, served: Served, bucket: str, file: Path, tmp_path: Path
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text(config("aws"))
    aws = partial(run, "aws", "--profile", "zs3")
    aws("s3", "mb", f"s3://{bucket}")
    aws("s3", "cp", file, f"s3://{bucket}/key")
    assert stored(served, bucket, "key") == "stored"
    assert aws("s3", "cp", f"s3://{bucket}/key", "-") == "stored"


def test_aws_cli_reads_the_default_profile(config: Callable[..., str], run: Run, bucket: str, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text(config("aws", "--name", "default"))
    run("aws", "s3", "mb", f"s3://{bucket}")
    assert bucket in run("aws", "s3", "ls")


def test_a_shell_has_the_environment_for_aws_cli(
    config: Callable[..., str], shell: Callable[[str, str], str], served: Served, bucket: str
) -> None:
    commands = (
        f"aws s3 mb s3://{bucket} >&2; printf stored | aws s3 cp - s3://{bucket}/key; aws s3 cp s3://{bucket}/key -"
    )
    assert shell(config("env"), commands) == "stored"
    assert stored(served, bucket, "key") == "stored"


def test_boto3_runs_the_python(config: Callable[..., str], served: Served, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "client.py").write_text(config("boto3"))
    s3 = runpy.run_path(str(tmp_path / "client.py"))["s3"]
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-home-1"})
    s3.put_object(Bucket=bucket, Key="key", Body=b"stored")
    assert stored(served, bucket, "key") == "stored"
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"stored"
    s3.close()


def test_rclone_reads_the_remote(
    config: Callable[..., str], run: Run, served: Served, bucket: str, file: Path, tmp_path: Path
) -> None:
    (tmp_path / "rclone.conf").write_text(config("rclone", "--name", "home"))
    rclone = partial(run, "rclone", "--config", tmp_path / "rclone.conf", "--retries", "1", "--low-level-retries", "1")
    rclone("mkdir", f"home:{bucket}")
    rclone("copyto", file, f"home:{bucket}/key")
    assert stored(served, bucket, "key") == "stored"
    assert rclone("cat", f"home:{bucket}/key") == "stored"


def test_s3cmd_reads_the_file(
    config: Callable[..., str], run: Run, served: Served, bucket: str, file: Path, tmp_path: Path
) -> None:
    (tmp_path / ".s3cfg").write_text(config("s3cmd"))
    run("s3cmd", "mb", f"s3://{bucket}")
    run("s3cmd", "put", file, f"s3://{bucket}/key")
    assert stored(served, bucket, "key") == "stored"
    assert run("s3cmd", "--no-progress", "get", f"s3://{bucket}/key", "-") == "stored"


@pytest.mark.skipif(RESTIC is None, reason="restic is not installed (an operating system's package, e.g. apt)")
def test_a_shell_has_the_environment_for_restic(
    config: Callable[..., str], shell: Callable[[str, str], str], served: Served, bucket: str, file: Path
) -> None:
    commands = f"restic init >&2; restic backup '{file}' >&2; restic dump latest '{file}'"
    assert shell(config("restic", "--bucket", bucket), commands) == "stored"
    assert (served.daemon.data / bucket / "config").is_file()


def test_a_file_is_made_for_its_owner_alone_and_is_not_replaced(
    config: Callable[..., str], served: Served, tmp_path: Path
) -> None:
    path = tmp_path / "rclone.conf"
    assert config("rclone", "--output", path) == ""
    assert path.stat().st_mode & 0o777 == 0o600
    assert ODD in path.read_text()
    again = subprocess.run(
        [program("zs3"), "client-config", "rclone", "--users", served.users, "--user", "other", "--output", path],
        capture_output=True,
        check=False,
    )
    assert again.returncode == 1
    assert b"is there already" in again.stderr
    assert ODD in path.read_text()
