"""`zs3 policy check`: what it says of policies, and of requests."""

import io
import json
import shlex
from pathlib import Path

import pytest

from zs3.cli.main import main

ARN = "arn:aws:s3:::photos"
USERS = """\
[users.alice]
access_key = "ALICE"
secret_key = "alices-secret"
role = "writer"

[users.bob]
access_key = "BOB"
secret_key = "bobs-secret-key"
policies = ["home"]

[users.carol]
access_key = "CAROL"
secret_key = "carols-secret"
account = "guests"
role = "reader"

[policies.home]
document = '''
{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::photos/${aws:username}/*"},
  {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}]}
'''
"""


def statement(action="s3:GetObject", resource=ARN + "/*", effect="Allow", **more):
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


@pytest.fixture
def write(tmp_path):
    """Writes a file; gives its path."""

    def write(name, *statements):
        path = tmp_path / name
        path.write_text(json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=1) + "\n")
        return str(path)

    return write


@pytest.fixture
def users(tmp_path):
    path = tmp_path / "users.toml"
    path.touch(0o600)
    path.write_text(USERS)
    return str(path)


def run(*arguments):
    """Exit status, answer and errors."""
    output, errors = io.StringIO(), io.StringIO()
    return main(["policy", "check", *arguments], output, errors), output.getvalue(), errors.getvalue()


def decided(*arguments, action="s3:GetObject", resource=ARN + "/bob/a"):
    status, answer, errors = run(*arguments, "--action", action, "--resource", resource)
    assert (status, errors) == (0, "")
    return answer.removesuffix("\n")


def test_what_is_valid_is_called_so(write, users):
    mine, of_bucket = write("mine", statement()), write("bucket", statement(Principal="*"))
    for arguments in ([mine], ["--users", users], ["--bucket-policy", of_bucket, "--bucket", "photos"]):
        assert run(*arguments) == (0, "valid\n", "")


def test_what_is_not_valid_is_told_with_the_reason(write, users):
    mine, of_bucket = write("mine", statement("s3:Fly")), write("bucket", statement())
    assert run(mine) == (1, "", f"zs3: {mine}: Policy has invalid action\n")
    assert run(of_bucket, "--bucket-policy", of_bucket, "--bucket", "photos") == (
        *(1, ""),
        f"zs3: {of_bucket}: Missing required field Principal\n",
    )
    with open(users, "a") as file:
        file.write("[policies.more]\ndocument = '{}'\n")
    assert run("--users", users) == (1, "", f"zs3: {users}: policies.more: Missing required field Statement\n")
    assert run(mine + "none")[0] == 1


def test_what_is_no_text_is_refused(tmp_path):
    (tmp_path / "policy").write_bytes(b"\xff")
    assert run(str(tmp_path / "policy")) == (1, "", f"zs3: {tmp_path / 'policy'}: is not UTF-8\n")
    (tmp_path / "policy").write_bytes(b"{" + b" " * 20480)
    assert "larger than the 20480 bytes" in run(str(tmp_path / "policy"))[2]


def test_a_decision_is_told_with_the_statement(users):
    bob = ("--users", users, "--user", "bob")
    assert decided(*bob) == "allowed: a policy of the user allows it: home, statement 1"
    assert decided(*bob, resource=ARN + "/alice/a") == "denied: no policy of the user allows it"
    listing = decided(*bob, action="s3:ListAllMyBuckets", resource="*")
    assert listing == "allowed: a policy of the user allows it: home, statement 2"
    assert decided("--users", users, "--user", "alice") == "allowed: it belongs to the account"
    assert decided("--users", users) == "denied: it belongs to another account, and ACLs are disabled"


def test_a_policy_is_tried_in_place_of_those_that_a_user_has(write, users):
    mine = write("mine", statement(Sid="read"), statement(effect="Deny", resource=ARN + "/${aws:username}/x"))
    for who in (["--user", "bob"], ["--user", "bob", "--users", users], ["--user", "alice", "--users", users]):
        assert decided(mine, *who) == "allowed: a policy of the user allows it: statement 1 (read)"
    denied = decided(mine, "--user", "bob", resource=ARN + "/bob/x")
    assert denied == "denied: a policy of the user denies it: statement 2"


def test_the_policy_of_the_bucket_counts_too(write, users):
    of_bucket = write("bucket", statement(Principal={"AWS": "guests"}))
    carol = ("--users", users, "--user", "carol", "--bucket-policy", of_bucket)
    assert decided(*carol, "--owner", "default") == "allowed: the bucket policy allows it: statement 1"
    assert decided(*carol[:4], "--owner", "default") == "denied: it belongs to another account, and ACLs are disabled"
    assert decided(*carol) == "allowed: it belongs to the account"
    assert decided(*carol, "--owner", "default", action="s3:PutObject").startswith("denied: neither the role nor")


def test_conditions_are_told_what_the_options_say(write):
    inside = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    tags = {"ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["a", "b"]}, "Null": {"aws:UserAgent": "true"}}
    mine = write("mine", statement(Condition=inside), statement("s3:PutObject", Condition=tags))
    bob = (mine, "--user", "bob")
    assert decided(*bob, "--set", "aws:SourceIp=10.1.2.3").startswith("allowed")
    assert decided(*bob, "--set", "aws:SourceIp=11.1.2.3").startswith("denied")
    assert decided(*bob).startswith("denied")
    for keys, expected in (("ab", "allowed"), ("ac", "denied")):
        settings = [part for key in keys for part in ("--set", f"s3:RequestObjectTagKeys={key}")]
        assert decided(*bob, *settings, action="s3:PutObject").startswith(expected)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--action", "s3:Fly", "--resource", ARN], "--action s3:Fly: there is no such action"),
        (["--action", "s3:GetObject", "--resource", ARN], f"--resource {ARN}: s3:GetObject is about an object"),
        (
            ["--action", "s3:ListBucket", "--resource", ARN + "/a"],
            f"--resource {ARN}/a: s3:ListBucket is about a bucket",
        ),
        (["--action", "s3:ListBucket", "--resource", "photos"], "--resource photos: must be arn:aws:s3:::BUCKET"),
        (["--action", "s3:ListBucket", "--resource", "*"], "--resource *: must be arn:aws:s3:::BUCKET"),
        (["--action", "s3:ListAllMyBuckets", "--resource", ARN], f"--resource {ARN}: s3:ListAllMyBuckets is about no"),
        (["--action", "s3:ListBucket", "--resource", ARN, "--set", "x=1"], "--set x=1: must be a condition key"),
        (["--action", "s3:ListBucket", "--resource", ARN, "--set", "aws:SourceIp"], "--set aws:SourceIp: must be"),
        (["--action", "s3:ListBucket", "--resource", ARN, "--owner", "@all"], "--owner @all: is no name of an account"),
        (["--user", "zoe"], "there is no user 'zoe'"),
    ],
)
def test_a_request_that_cannot_be_is_not_decided(users, more, message):
    status, answer, errors = run("--users", users, *more)
    assert (status, answer) == (1, "")
    assert message in errors


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["x", "--action", "s3:GetObject"],
        ["x", "--resource", ARN],
        ["--bucket-policy", "x"],
        ["x", "--action", "s3:ListBucket", "--resource", ARN],
    ],
)
def test_a_wrong_command_line_has_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        run(*arguments)
    assert exit_.value.code == 2
    assert "usage: zs3 policy check" in capsys.readouterr().err


DOCS = Path(__file__).parents[2] / "docs"


def test_the_manual_says_what_the_command_says(tmp_path, write):
    """With the files of the manual, as its lines name them."""
    manual = (DOCS / "policies.rst").read_text("utf-8")
    files = {"users.toml": tmp_path / "users.toml", "policy.json": DOCS / "policy.json"}
    files["users.toml"].touch(0o600)
    files["users.toml"].write_text((DOCS / "users.toml").read_text("utf-8"))
    files["policy-of-a-user.json"] = write("mine", statement())
    answers = []
    for line in manual.replace("\\\n", " ").splitlines():
        if line.startswith("   zs3 policy check "):
            words = shlex.split(line.removeprefix("   zs3 policy check "))
            status, answer, errors = run(*(str(files.get(word, word)) for word in words))
            assert (status, errors) == (0, "")
            answers.append(answer.removesuffix("\n"))
    assert answers[:3] == ["valid"] * 3
    assert answers[3].startswith("allowed: ")
    assert f"The last says ``{answers[3]}``" in manual
