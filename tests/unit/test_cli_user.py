"""`zs3 user`: what it does to the file, what it says, and its exit status."""

import io
import json
import re
import shlex
import tomllib

import pytest

from zs3.auth import users
from zs3.auth.accounts import account_id
from zs3.auth.generated import credentials_path, ensure_users_file
from zs3.cli.main import main

FILE = """\
[users.alice]
access_key = "ALICE"
secret_key = "alices-secret"
role = "admin"

[users.bob]
role = "writer"
account = "family"
buckets = ["photos", "music"]

[[users.bob.keys]]
access_key = "BOB1"
secret_key = "bobs-first-secret"
created = 2025-01-02T03:04:05Z

[[users.bob.keys]]
access_key = "BOB2"
secret_key = "bobs-second-secret"
enabled = false
"""


@pytest.fixture(autouse=True)
def nowhere(monkeypatch):
    monkeypatch.delenv("ZS3_USERS", raising=False)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "users.toml"
    path.touch(0o600)
    path.write_text(FILE)
    return path


@pytest.fixture
def zs3(path):
    """Runs `zs3 user ...` on the file; gives what it answered, which must be the whole of it."""

    def run(*arguments):
        output, errors = io.StringIO(), io.StringIO()
        status = main(["user", *arguments, "--users", str(path)], output, errors)
        assert (status, errors.getvalue()) == (0, "")
        return output.getvalue()

    return run


@pytest.fixture
def refused(path):
    """Runs `zs3 user ...` that must fail and change nothing; gives the message."""

    def run(*arguments):
        before = path.read_text()
        output, errors = io.StringIO(), io.StringIO()
        assert main(["user", *arguments, "--users", str(path)], output, errors) == 1
        assert output.getvalue() == ""
        assert path.read_text() == before
        (line,) = errors.getvalue().splitlines()
        return line

    return run


def pair_in(output):
    return re.search(r"^access_key = (.*)\nsecret_key = (.*)$", output, re.MULTILINE).groups()


def entry(path, name):
    return tomllib.loads(path.read_text())["users"][name]


def known(path):
    """The access keys that sign, with the names of those whose they are."""
    return {user.access_key: user.name for user in users.load(str(path)).values() if user.enabled}


def test_add_makes_a_user_and_shows_the_secret_that_is_in_the_file(zs3, path):
    access_key, secret_key = pair_in(zs3("add", "zoe"))
    user = users.load(str(path))[access_key]
    assert (user.name, user.secret_key, user.role, user.buckets, user.account) == (
        *("zoe", secret_key, "writer", None),
        "default",
    )
    assert path.read_text().startswith(FILE)


def test_add_takes_role_account_and_buckets(zs3, path):
    answer = json.loads(
        zs3("add", "zoe", "--role", "reader", "--account", "club", "--bucket", "a", "--bucket", "b", "--json")
    )
    user = users.load(str(path))[answer["access_key"]]
    assert answer == {"name": "zoe", "access_key": user.access_key, "secret_key": user.secret_key}
    assert (user.role, user.buckets, user.account) == ("reader", {"a", "b"}, "club")


def test_no_two_keys_are_alike(zs3):
    pairs = [pair_in(zs3("add", name)) for name in ("zoe", "max")]
    pairs.append(pair_in(zs3("rotate", "zoe")))
    assert len({key for pair in pairs for key in pair}) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add", "bob"), "there is a user 'bob' already"),
        (("add", "a b"), "a name is 1 to 64 letters"),
        (("add", "zoë"), "a name is 1 to 64 letters"),
        (("add", "zoe", "--account", "@all"), "users.zoe: account must be"),
        (("add", "zoe", "--role", "admin", "--bucket", "photos"), "users.zoe: an admin has every bucket"),
        (("rotate", "zoe"), "there is no user 'zoe'"),
        (("disable", "zoe"), "there is no user 'zoe'"),
        (("disable", "bob", "--key", "ALICE"), "'bob' has no access key 'ALICE'"),
        (("enable", "zoe"), "there is no user 'zoe'"),
        (("remove", "zoe"), "there is no user 'zoe'"),
        (("remove-key", "bob", "ALICE"), "'bob' has no access key 'ALICE'"),
        (("remove-key", "alice", "ALICE"), "it is the only key pair of 'alice'"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(refused, path, arguments, message):
    line = refused(*arguments)
    assert line.startswith(f"zs3: {path}: " if "a name is" not in message else "zs3: ")
    assert message in line


@pytest.mark.parametrize(("name", "old"), [("alice", ["ALICE"]), ("bob", ["BOB1", "BOB2"])])
def test_rotate_adds_a_key_pair_and_says_how_the_old_one_goes(zs3, path, name, old):
    before = known(path)
    answer = zs3("rotate", name)
    access_key, secret_key = pair_in(answer)
    assert known(path) == before | {access_key: name}
    assert users.load(str(path))[access_key].secret_key == secret_key
    commands = [shlex.split(line) for line in answer.splitlines() if line.startswith("zs3 ")]
    assert commands == [["zs3", "user", "remove-key", name, each, "--users", str(path)] for each in old]
    for each in commands:
        assert main(each[1:], io.StringIO(), io.StringIO()) == 0
    assert [key for key, whose in known(path).items() if whose == name] == [access_key]


def test_each_key_pair_can_be_removed_but_the_last(zs3, refused, path):
    new, _ = pair_in(zs3("rotate", "alice"))
    zs3("remove-key", "alice", new)
    assert entry(path, "alice") == {"access_key": "ALICE", "secret_key": "alices-secret", "role": "admin"}
    zs3("remove-key", "bob", "BOB1")
    assert [each["access_key"] for each in entry(path, "bob")["keys"]] == ["BOB2"]
    assert "only key pair" in refused("remove-key", "bob", "BOB2")


def test_user_is_disabled_and_enabled(zs3, path):
    assert zs3("disable", "bob") == "bob: disabled\n"
    assert known(path) == {"ALICE": "alice"}
    assert zs3("enable", "bob") == "bob: enabled\n"
    assert known(path) == {"ALICE": "alice", "BOB1": "bob"}, "a key that was disabled on its own still is"


@pytest.mark.parametrize(("name", "key"), [("alice", "ALICE"), ("bob", "BOB1")])
def test_one_key_pair_is_disabled_and_enabled(zs3, path, name, key):
    other, _ = pair_in(zs3("rotate", name))
    before = known(path)
    assert zs3("disable", name, "--key", key) == f"{key} of {name}: disabled\n"
    assert known(path) == {each: before[each] for each in before if each != key}
    assert other in known(path)
    assert json.loads(zs3("enable", name, "--key", key, "--json")) == {
        "name": name,
        "access_key": key,
        "outcome": "enabled",
    }
    assert known(path) == before


def test_user_is_removed_but_not_the_last_one(zs3, refused, path):
    assert zs3("remove", "alice") == "alice: removed\n"
    assert path.read_text() == FILE[FILE.index("[users.bob]") :]
    assert "the only user" in refused("remove", "bob")


def test_list_shows_every_key_pair_and_no_secret(zs3):
    rows = [line.split() for line in zs3("list").splitlines()]
    assert rows[1:] == [
        ["alice", "admin", "-", "default", account_id("default"), "all", "ALICE", "-", "enabled"],
        [
            "bob",
            "writer",
            "-",
            "family",
            account_id("family"),
            "photos,music",
            "BOB1",
            "2025-01-02T03:04:05+00:00",
            "enabled",
        ],
        ["bob", "writer", "-", "family", account_id("family"), "photos,music", "BOB2", "-", "disabled"],
    ]
    zs3("disable", "alice")
    assert "user disabled" in zs3("list").splitlines()[1]
    text = zs3("list", "--json")
    assert "secret" not in text
    assert [each["enabled"] for each in json.loads(text)] == [False, True]
    assert json.loads(text)[1]["keys"] == [
        {"access_key": "BOB1", "enabled": True, "created": "2025-01-02T03:04:05+00:00"},
        {"access_key": "BOB2", "enabled": False, "created": None},
    ]


def test_list_shows_the_policies_of_a_user(zs3, path):
    document = '{"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}'
    policies = f"[policies.all]\ndocument = '{document}'\n"
    path.write_text(policies + FILE.replace('role = "writer"', 'policies = ["all", "all"]'))
    assert zs3("list").splitlines()[2].split()[:3] == ["bob", "-", "all,all"]
    alice, bob = json.loads(zs3("list", "--json"))
    assert (alice["role"], alice["policies"], bob["role"], bob["policies"]) == ("admin", None, None, ["all", "all"])
    zs3("rotate", "bob")
    assert path.read_text().startswith(policies)


def test_a_name_cannot_forge_a_row_of_the_list(zs3, path):
    path.write_text(FILE.replace("users.bob", 'users."b\\nob\\u001b[2J"'))
    assert zs3("list").count("\n") == 4
    assert "\x1b" not in zs3("list")


def test_the_file_is_that_of_the_option_else_of_the_data_directory_else_of_the_environment(
    zs3, path, tmp_path, monkeypatch
):
    def listed(*arguments):
        output, errors = io.StringIO(), io.StringIO()
        assert main(["user", "list", "--json", *arguments], output, errors) == 0
        return [each["name"] for each in json.loads(output.getvalue())]

    (tmp_path / ".zs3").mkdir()
    ensure_users_file(credentials_path(str(tmp_path)))
    monkeypatch.setenv("ZS3_USERS", str(path))
    assert listed() == ["alice", "bob"]
    assert listed("--data", str(tmp_path)) == ["admin"]
    zs3("remove", "alice")
    monkeypatch.setenv("ZS3_USERS", str(tmp_path / "none"))
    assert listed("--users", str(path)) == ["bob"]


def test_add_makes_the_file_but_not_that_of_a_data_directory(tmp_path):
    def add(*arguments):
        errors = io.StringIO()
        return main(["user", "add", "zoe", *arguments], io.StringIO(), errors), errors.getvalue()

    assert add("--users", str(tmp_path / "new.toml")) == (0, "")
    assert [each.name for each in users.load(str(tmp_path / "new.toml")).values()] == ["zoe"]
    (tmp_path / ".zs3" / "private").mkdir(parents=True)
    status, message = add("--data", str(tmp_path))
    assert (status, "No such file" in message) == (1, True)


@pytest.mark.parametrize(
    "arguments",
    [(), ("user",), ("user", "list"), ("user", "add", "--users", "x"), ("user", "list", "--user", "x")],
    ids=" ".join,
)
def test_wrong_command_line_is_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments, io.StringIO(), io.StringIO())
    assert ended.value.code == 2
    assert "usage: zs3" in capsys.readouterr().err


def test_output_that_nobody_takes_is_a_failure(path):
    class Closed(io.StringIO):
        def flush(self):
            raise BrokenPipeError(32, "Broken pipe")

    errors = io.StringIO()
    assert main(["user", "list", "--users", str(path)], Closed(), errors) == 1
    assert "Broken pipe" in errors.getvalue()
