"""`zs3 client-config`: whose key pair it takes, and what no configuration can hold."""

import configparser
import io
import json
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.e2e.daemon import program
from zs3 import clientconfig
from zs3.auth.generated import credentials_path, ensure_users_file
from zs3.cli.main import main
from zs3.clientconfig import CLIENTS, PLACEHOLDER, Connection, check_endpoint

FILE = """\
[users.alice]
access_key = "ALICE"
secret_key = "alices-secret"
role = "admin"

[users.bob]
role = "writer"

[[users.bob.keys]]
access_key = "BOB1"
secret_key = "bobs-first-secret"

[[users.bob.keys]]
access_key = "BOB2"
secret_key = "bobs-second-secret"

[[users.bob.keys]]
access_key = "BOB3"
secret_key = "bobs-third-secret"
enabled = false
"""

secrets = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=8, max_size=40)


def connection(secret, **values):
    return Connection("http://s3.home.lan:9000", "ALICE", secret, **values)


@pytest.fixture(autouse=True)
def nowhere(monkeypatch):
    for name in ("ZS3_USERS", "ZS3_ACCESS_KEY", "ZS3_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "users.toml"
    path.touch(0o600)
    path.write_text(FILE)
    return path


@pytest.fixture
def config(path, capsys):
    """Runs `zs3 client-config ...` with the users file; gives what it prints."""

    def run(*arguments, users=("--users", str(path))):
        output, errors = io.StringIO(), io.StringIO()
        status = main(["client-config", *arguments, *users], output, errors)
        assert (status, errors.getvalue()) == (0, "")
        return output.getvalue()

    return run


@pytest.fixture
def refused(path, capsys):
    """The same, but it must fail; gives the exit status and the message."""

    def run(*arguments, users=("--users", str(path))):
        output, errors = io.StringIO(), io.StringIO()
        try:
            status = main(["client-config", *arguments, *users], output, errors)
        except SystemExit as ended:
            status = ended.code
        assert output.getvalue() == ""
        return status, errors.getvalue() + capsys.readouterr().err

    return run


def test_the_newest_key_pair_that_is_enabled_is_taken(config):
    text = config("env", "--user", "bob")
    assert "AWS_ACCESS_KEY_ID=BOB2\n" in text
    assert "bobs-second-secret" in text


def test_a_key_pair_can_be_named(config):
    text = config("env", "--access-key", "BOB1")
    assert "AWS_ACCESS_KEY_ID=BOB1\n" in text
    assert "bobs-first-secret" in text


def test_a_disabled_key_pair_is_refused(refused):
    status, message = refused("env", "--access-key", "BOB3")
    assert status == 1
    assert "disabled" in message


def test_of_several_users_one_must_be_named(refused):
    status, message = refused("env")
    assert status == 1
    assert "--user" in message
    assert "alice, bob" in message
    assert "secret" not in message


@pytest.mark.parametrize("who", [("--user", "carol"), ("--access-key", "CAROL")])
def test_who_is_not_there_is_told(refused, who):
    status, message = refused("env", *who)
    assert status == 1
    assert f"no {'user' if who[0] == '--user' else 'access key'} {who[1]}" in message


def test_the_only_user_needs_no_name(config, data):
    (data / ".zs3").mkdir()
    ensure_users_file(credentials_path(str(data)))
    assert "AWS_SECRET_ACCESS_KEY=" in config("env", users=("--data", str(data)))


def test_the_key_pair_of_the_environment_is_that_of_the_daemon(config, monkeypatch):
    monkeypatch.setenv("ZS3_ACCESS_KEY", "ENVIRONMENT")
    monkeypatch.setenv("ZS3_SECRET_KEY", "of-the-environment")
    assert "secret_key = of-the-environment\n" in config("s3cmd", users=())


def test_without_any_file_the_command_line_is_wrong(refused):
    status, message = refused("env", users=())
    assert status == 2
    assert "ZS3_USERS" in message


def test_a_file_that_others_can_read_is_refused(refused, path):
    path.chmod(0o644)
    status, message = refused("env", "--user", "alice")
    assert status == 1
    assert "chmod 600" in message


@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_the_secret_can_be_left_out(config, client, capsys):
    extra = ("--bucket", "backup") if client == "restic" else ()
    text = config(client, "--user", "alice", "--without-secret", *extra)
    assert PLACEHOLDER in text
    assert "alices-secret" not in text
    assert capsys.readouterr().err == ""


def test_who_prints_a_secret_is_told_so_on_standard_error_alone(config, capsys):
    text = config("rclone", "--user", "alice")
    told = capsys.readouterr().err
    assert "--output" in told
    assert "alices-secret" in text
    assert "alices-secret" not in told


@pytest.mark.parametrize(
    "arguments",
    [
        ("env", "--endpoint", "s3.home.lan:9000"),
        ("env", "--endpoint", "ftp://s3.home.lan"),
        ("env", "--endpoint", "http://s3.home.lan/path"),
        ("env", "--endpoint", "http://me:secret@s3.home.lan"),
        ("env", "--endpoint", "http://s3.home.lan:port"),
        ("env", "--endpoint", "http://s3.home lan"),
        ("env", "--endpoint", "http://"),
        ("env", "--region", "Mars Base"),
        ("env", "--ca-file", "cert.pem"),
        ("env", "--endpoint", "https://s3.home.lan", "--ca-file", "cert\n[other]"),
        ("aws", "--name", "a]b"),
        ("restic",),
        ("restic", "--bucket", "../etc"),
        ("env", "--bucket", "backup"),
        ("fax",),
    ],
)
def test_what_cannot_be_meant_is_a_wrong_command_line(refused, arguments):
    assert refused(*arguments, "--user", "alice")[0] == 2


@pytest.mark.parametrize(
    ("given_", "taken"),
    [
        ("HTTP://Home.LAN:9000/", "http://home.lan:9000"),
        ("https://[::1]:9443", "https://[::1]:9443"),
        ("https://s3.example.com", "https://s3.example.com"),
    ],
)
def test_an_endpoint_is_scheme_host_and_port(given_, taken):
    assert check_endpoint(given_) == taken


@given(secrets)
def test_a_shell_reads_back_every_secret(secret):
    for render in (clientconfig.environment, clientconfig.restic):
        words = [each for line in render(connection(secret)).splitlines() for each in shlex.split(line)]
        assert f"AWS_SECRET_ACCESS_KEY={secret}" in words


@given(secrets)
def test_python_reads_back_every_secret(secret):
    text = clientconfig.boto3(connection(secret))
    call = text.partition("s3 = boto3.client(\n")[2].partition("    config=")[0]
    assert eval(f"dict(service={call.strip()})")["aws_secret_access_key"] == secret


@given(secrets)
def test_the_parser_of_the_aws_sdks_reads_back_every_secret(secret):
    parser = configparser.RawConfigParser()
    parser.read_string(clientconfig.aws(connection(secret)))
    assert parser["profile zs3"]["aws_secret_access_key"] == secret
    assert parser["profile zs3"]["s3"].strip() == "addressing_style = path"


@given(secrets.filter(lambda secret: not secret.startswith("$")))
def test_the_parser_of_s3cmd_reads_back_every_secret_it_can(secret):
    assert s3cmd_reads(clientconfig.s3cmd(connection(secret)))["secret_key"] == secret


def s3cmd_reads(text):
    # As S3/Config.py of s3cmd 2.4 does.
    found = {}
    for line in text.splitlines():
        name, equals, value = line.partition(" = ")
        if equals:
            found[name] = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    return found


def test_a_secret_that_s3cmd_takes_for_a_variable_is_refused():
    with pytest.raises(ValueError, match=r"begins with \$"):
        clientconfig.s3cmd(connection("$HOME-sweet-home"))


@pytest.mark.parametrize("secret", ["12345678%(type)s", '"""three`of"""', '`tick"""three'])
def test_a_secret_that_rclone_cannot_read_is_refused(secret):
    with pytest.raises(ValueError, match="rclone cannot read") as refusal:
        clientconfig.rclone(connection(secret))
    assert secret not in str(refusal.value)


@pytest.mark.parametrize(
    "secret",
    [
        "`backtick",
        "`both`ticks`",
        '"""three"of',
        '"quoted"',
        "per%cent%d",
        "#hash;semi",
        "=:[x]y==",
        "back\\n\\",
        '`x"y"z',
    ],
)
def test_rclone_reads_back_what_may_have_to_be_quoted(tmp_path, secret):
    (tmp_path / "rclone.conf").write_text(clientconfig.rclone(connection(secret)))
    command = [program("rclone"), "--config", str(tmp_path / "rclone.conf"), "config", "dump"]
    shown = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert json.loads(shown)["zs3"]["secret_access_key"] == secret


def test_a_section_is_appended_once_to_a_file_of_its_own_mode(config, refused, tmp_path):
    path = tmp_path / "config"
    assert config("aws", "--user", "alice", "--append", str(path)) == ""
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text(path.read_text().rstrip())
    config("aws", "--user", "bob", "--name", "bob", "--append", str(path))
    parser = configparser.RawConfigParser()
    parser.read_string(path.read_text())
    assert {each: parser[each]["aws_access_key_id"] for each in parser.sections()} == {
        "profile zs3": "ALICE",
        "profile bob": "BOB2",
    }
    before = path.read_bytes()
    status, message = refused("aws", "--user", "bob", "--append", str(path))
    assert status == 1
    assert "[profile zs3] already" in message
    assert path.read_bytes() == before


def test_a_secret_is_not_appended_to_what_others_can_read(refused, tmp_path):
    path = tmp_path / "config"
    path.write_text("[other]\n")
    path.chmod(0o644)
    status, message = refused("rclone", "--user", "alice", "--append", str(path))
    assert status == 1
    assert "chmod 600" in message
    assert path.read_text() == "[other]\n"
