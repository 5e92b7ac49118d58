"""Every command that README.rst and the manual show, typed in order, page by page, in a home of its own.

A page is run with a daemon that serves `~/s3` as by the quick start, unless `PAGES` says
something else of it; the address, the keys and a few placeholders are put in, nothing else is changed.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import pages
from tests.e2e import foreground, quickaws
from tests.e2e.daemon import ACCESS_KEY, SECRET_KEY, isolated_environment
from tests.pages import Block
from zs3.auth import users


@dataclass(frozen=True)
class Page:
    """How a page is run.

    :ivar options: of the daemon that runs from the start, or None if the page starts one itself.
    :ivar prepare: commands before the first; the current directory and `~` are empty but for a few files.
    :ivar replace: what stands in the page as a placeholder, and what a reader would put there: shell, may be a command.
    :ivar clone: whether the current directory is a clone of the repository.
    :ivar elsewhere: the module of tests beside this one that types the blocks of the page, by their names.
    :ivar pair: whether a daemon that the page starts is given its key pair, by the environment.
    """

    options: tuple[str, ...] | None = ()
    prepare: str = ""
    replace: dict[str, str] = field(default_factory=dict)
    clone: bool = False
    elsewhere: str = ""
    pair: bool = True


_CREDENTIALS = "~/s3/.zs3/private/credentials"
#: In the place of an ellipsis; the quotes are those of TOML.
_ACCESS_KEY_MADE = f"$(sed -n 's/^access_key = //p' {_CREDENTIALS} | tr -d '\"')"
_SECRET_KEY_MADE = f"$(sed -n 's/^secret_key = //p' {_CREDENTIALS} | tr -d '\"')"
_KEY_OF_CAMERA = "$(zs3 user list | awk '$1 == \"camera\" {print $7; exit}')"
_VERSION_ID = (
    "$(aws s3api list-object-versions --bucket {0} --prefix {1} --query 'Versions[0].VersionId' --output text)"
)
_PHOTOS = "aws s3 mb s3://photos; cp ~/Pictures/cat.jpg .; mkdir -p ~/s3/photos/2024\n"
#: What it says must be that, and attributes must have come along.
_ADOPTED = (
    'test "$(zs3 adopt --data {0})" = "photos: adopted" && "$ZS3_TEST_PYTHON" -c \'import os, sys;'
    ' os.getxattr(sys.argv[1], "user.zs3")\' {0}/photos/cat.jpg\n'
)
#: The account id of S3 Control comes before the host, which must be a name then: this one is found by a proxy.
_BY_NAME = "HTTP_PROXY=http://127.0.0.1:9000 AWS_ENDPOINT_URL=http://s3.example.org "

_CERTIFICATE = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out cert.pem"
    " -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 2>/dev/null\n"
)
#: Where there may be no registry of packages: the programs are those that run the tests.
_NO_REGISTRY = {
    "python3 -m venv .venv": "python3 -m venv --without-pip .venv",
    ".venv/bin/pip install .": 'cp "${ZS3_TEST_PYTHON%/*}"/{zs3,twistd} .venv/bin/',
}

#: Pages that need something; one that is not here is run as `Page()` says.
PAGES: dict[str, Page] = {
    "security.rst": Page(clone=True, options=None),
    "README.rst": Page(
        options=None,
        prepare=_CERTIFICATE,
        clone=True,
        replace={
            "aws s3 presign": "cp ~/Pictures/cat.jpg .; aws s3 presign",
            "restic -r": "RESTIC_PASSWORD=test restic -r",
            "/etc/zs3/": "",
            **_NO_REGISTRY,
        },
    ),
    "quickstart.rst": Page(
        options=None,
        clone=True,
        pair=False,
        replace={
            **({} if os.environ.get("CI") else _NO_REGISTRY),
            "AWS_ACCESS_KEY_ID=...": f"AWS_ACCESS_KEY_ID={_ACCESS_KEY_MADE}",
            "AWS_SECRET_ACCESS_KEY=...": f"AWS_SECRET_ACCESS_KEY={_SECRET_KEY_MADE}",
            # The link shows the photo.
            "aws s3 presign s3://photos/2024/cat.jpg --expires-in 86400": (
                'curl -fsS "$(aws s3 presign s3://photos/2024/cat.jpg --expires-in 86400)" | cmp - ~/Pictures/cat.jpg'
            ),
        },
    ),
    "access.rst": Page(
        replace={
            "aws s3control": _BY_NAME + "aws s3control",
            "123456789012": "$(zs3 user list --data ~/s3 | awk 'NR == 2 {print $5}')",
        },
    ),
    "clients.rst": Page(
        prepare=_PHOTOS,
        replace={
            "RESTIC_PASSWORD=...": "RESTIC_PASSWORD=test",
            " --ca-cert /etc/zs3/cert.pem": "",
            "export AWS_CA_BUNDLE=": ": ",
            "--users /etc/zs3/users.toml --user camera": "--users ~/s3/.zs3/private/credentials --user admin",
        },
    ),
    "events.rst": Page(
        prepare=_PHOTOS,
        replace={
            # Nobody is there to take a test event, and nothing is sent.
            "file://notification.json": "file://notification.json --skip-destination-validation",
            "curl -N": "timeout 1 curl -N",
            "suffix=.jpg'": "suffix=.jpg' || test $? = 124",
        },
    ),
    "faq.rst": Page(
        replace={
            "arn:aws:s3:::backup/locks/1": "arn:aws:s3:::backup/locks/1 | grep ^allowed",
            "arn:aws:s3:::backup/data/1": "arn:aws:s3:::backup/data/1 | grep ^denied",
        }
    ),
    "handbook.rst": Page(
        prepare=_PHOTOS
        + "aws s3 cp cat.jpg s3://photos/cat.jpg; mkdir -p ~/newbox ~/s3-on-newbox ~/restored-by-restic",
        replace={
            "RESTIC_PASSWORD=...": "RESTIC_PASSWORD=test",
            "newbox:s3/": "~/s3-on-newbox/",
            "zs3 adopt --data ~/restored\n": _ADOPTED.format("~/restored"),
            "zs3 adopt --data ~/restored-by-restic\n": _ADOPTED.format("~/restored-by-restic"),
            "zs3 adopt --data ~/restored-by-borg\n": _ADOPTED.format("~/restored-by-borg"),
            "zs3 adopt --data ~/s3-on-newbox\n": _ADOPTED.format("~/s3-on-newbox"),
        },
    ),
    "import.rst": Page(elsewhere="test_import.py"),
    "lifecycle.rst": Page(prepare=_PHOTOS + "aws s3 cp cat.jpg s3://photos/logs/today"),
    "locking.rst": Page(
        replace={
            "aws s3api put-object-retention": (
                "aws s3 cp ~/Pictures/cat.jpg s3://backups/monday.tar; aws s3api put-object-retention"
            ),
            "--version-id ID": f"--version-id {_VERSION_ID.format('backups', 'monday.tar')}",
        },
    ),
    "policies.rst": Page(
        prepare=_PHOTOS + "aws s3api delete-public-access-block --bucket photos",
        replace={"policy-of-a-user.json": "append-only.json"},
    ),
    "running.rst": Page(
        replace={"--key ACCESS_KEY": f"--key {_KEY_OF_CAMERA}", "camera ACCESS_KEY": f"camera {_KEY_OF_CAMERA}"}
    ),
    "verify.rst": Page(prepare=_PHOTOS + "cp cat.jpg ~/s3/photos/2024/"),
    "versions.rst": Page(
        prepare=_PHOTOS,
        replace={
            "aws s3api list-object-versions": (
                "for key in cat.jpg cat.jpg 2024/cat.jpg 2024/cat.jpg; do aws s3 cp cat.jpg s3://photos/$key; done;"
                " aws s3api list-object-versions"
            ),
            "?versionId=ID'": f"?versionId='{_VERSION_ID.format('photos', 'cat.jpg')}",
            "/2026-11-29T17-05-09Z_187c*": "/20*",
        },
    ),
    "website.rst": Page(options=None, prepare="mkdir site; echo Hello >site/index.html; echo Sorry >site/error.html"),
}

#: Ports in the pages; each is another one here.
_PORTS = ("9000", "9001", "9100", "9443", "8080", "8443")

_HELP = """
{output}
{name} cannot be done as it is written: see above for the line and what went wrong.
Mend the page; or, if a reader would put something in or have something ready, say so in PAGES of {here};
or, if no test can do it, put a comment before the block, `.. not run: REASON` with one of the reasons in
tests/pages.py, or `.. needs: PROGRAM` if that is not always installed."""

_PROLOGUE = r"""
set -eo pipefail
trap 'echo "$PAGE:$LINENO: exit status $?: $BASH_COMMAND" >&2' ERR
unset BASH_ENV
foreground() { "$ZS3_TEST_PYTHON" "$ZS3_TEST_FOREGROUND" "$@"; }
"""


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _runnable(blocks: list[Block]) -> list[Block]:
    return [
        each
        for each in blocks
        if each.language in pages.RUN
        and not (each.included or each.reason)
        and all(shutil.which(name) for name in each.needs)
    ]


def _script(blocks: list[Block]) -> str:
    """A script whose lines have the numbers that they have in the page, for the sake of its messages."""
    last = max(each.line + len(each.lines) for each in blocks)
    lines = [""] * (last + 1)
    for block in blocks:
        content = list(block.lines)
        if block.language == "console":
            content = [each[2:] if each[:2] in ("$ ", "> ") else "" for each in content]
        if block.language == "python":
            lines[block.line - 2] = '"$ZS3_TEST_PYTHON" "$ZS3_TEST_PLACE/block.py" <<\'END OF BLOCK\''
            lines[block.line - 1 + len(content)] = "END OF BLOCK"
        lines[block.line - 1 : block.line - 1 + len(content)] = content
    return "\n".join(lines) + "\n"


class Sandbox:
    """A home with what the readers of a page have, and with a daemon that serves `~/s3`."""

    def __init__(self, place: Path, page: Page, aws: Path | None) -> None:
        """:param aws: the socket of `quickaws`."""
        self.place = place
        self.page = page
        self.home = place / "home"
        self.work = self.home / "work"
        self.ports = dict(zip(_PORTS, map(str, _free_ports(len(_PORTS))), strict=True))
        for directory in ("s3", "Pictures", "Documents", "work"):
            (self.home / directory).mkdir(parents=True)
        (self.home / "Pictures" / "cat.jpg").write_bytes(b"\xff\xd8\xff" + bytes(1000))
        (self.home / "Documents" / "letter.txt").write_text("Dear Sir\n", "utf-8")
        (place / "block.py").write_text(
            "import sys, boto3\n"
            "exec(compile(sys.stdin.read(), 'block', 'exec'), {'__name__': '__main__', 's3': boto3.client('s3')})\n"
        )
        (place / "prologue").write_text(_PROLOGUE)
        self.environment = isolated_environment(
            self.home,
            PAGE="",
            ZS3_TEST_PLACE=str(place),
            ZS3_TEST_PORT=self.ports["9000"],
            ZS3_TEST_PYTHON=sys.executable,
            ZS3_TEST_FOREGROUND=foreground.__file__,
            AWS_ENDPOINT_URL=f"http://127.0.0.1:{self.ports['9000']}",
            AWS_DEFAULT_REGION="us-east-1",
            AWS_EC2_METADATA_DISABLED="true",
            AWS_PAGER="",
        )
        if aws is not None:
            (place / "bin").mkdir()
            quickaws.write_client(place / "bin" / "aws", aws)
            self.environment["PATH"] = f"{place / 'bin'}{os.pathsep}{self.environment['PATH']}"

    def start(self) -> None:
        """Start the daemon that the page takes for granted."""
        if self.page.options is not None:
            command = shlex.join(("twistd", "-n", "--pidfile=", "zs3", "--data", "REPLACED", *self.page.options))
            self.run("start", f"foreground {command.replace('REPLACED', '~/s3')}\n")
            pair = tomllib.loads((self.home / "s3/.zs3/private/credentials").read_text("utf-8"))["users"]["admin"]
            self.keys = (pair["access_key"], pair["secret_key"])
        else:
            self.keys = (ACCESS_KEY, SECRET_KEY)
            if self.page.pair:
                self.environment["ZS3_ACCESS_KEY"], self.environment["ZS3_SECRET_KEY"] = self.keys
        self.environment["AWS_ACCESS_KEY_ID"], self.environment["AWS_SECRET_ACCESS_KEY"] = self.keys

    def put_in(self, text: str) -> str:
        """A text of the page with what a reader would put in."""
        for old, new in self.page.replace.items():
            text = text.replace(old, new)
        text = re.sub(r"\bKEY\b(?!\.)", self.keys[0], text)
        text = re.sub(r"\bSECRET\b", self.keys[1], text)
        text = re.sub(r"(?<![\w:-])((?:[\w./~]+/)?twistd\s+(?:-n|--nodaemon))\b", r"foreground \1", text)
        return re.sub(rf"\b({'|'.join(_PORTS)})\b", lambda found: self.ports[found[0]], text)

    def run(self, name: str, script: str) -> None:
        """Run a shell script; fails if a command in it does."""
        (self.place / name).write_text(script, "utf-8")
        ended = subprocess.run(
            ["bash", str(self.place / name)],
            cwd=self.work,
            env={**self.environment, "PAGE": name, "BASH_ENV": str(self.place / "prologue")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=100,
            check=False,
        )
        output = ended.stdout.decode("utf-8", "replace")
        if ended.returncode:
            pytest.fail(_HELP.format(output=output, name=name, here=Path(__file__).name), pytrace=False)

    def end(self) -> None:
        """Stop the daemon."""
        foreground.stop(self.place)

    def check_log(self) -> None:
        """That no daemon had any trouble."""
        path = self.place / "daemon.log"
        log = path.read_text("utf-8") if path.exists() else ""
        for sign in ("Traceback", "Unhandled", "#error]", "#critical]"):
            assert sign not in log, log


@contextmanager
def sandbox(place: Path, page: Page, aws: Path | None) -> Iterator[Sandbox]:
    """A sandbox whose daemon runs as long as the block."""
    made = Sandbox(place, page, aws)
    try:
        if page.clone:
            for name in (
                "pyproject.toml",
                "README.rst",
                "LICENSE",
                "constraints.txt",
                "zs3",
                "twisted",
                "systemd",
                "packaging",
                "console/package.json",
                "console/package-lock.json",
            ):
                source = pages.REPOSITORY / name
                (made.work / name).parent.mkdir(exist_ok=True)
                if source.is_dir():
                    shutil.copytree(
                        source, made.work / name, ignore=shutil.ignore_patterns("__pycache__", "dropin.cache")
                    )
                elif source.exists():
                    shutil.copy(source, made.work / name)
        made.start()
        yield made
    finally:
        made.end()
    made.check_log()


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of an aws-cli that is loaded once for all pages."""
    place = tmp_path_factory.mktemp("aws")
    with subprocess.Popen(
        [sys.executable, quickaws.__file__, str(place / "socket")],
        env=isolated_environment(place),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n"
            yield place / "socket"
        finally:
            server.terminate()


_BLOCKS: dict[str, list[Block]] = {}
_ERRORS: list[str] = []
for _name, _path in pages.pages().items():
    try:
        _BLOCKS[_name] = pages.blocks(_path)
    except pages.PageError as _error:
        _ERRORS.append(str(_error))
_WITH_COMMANDS = [
    name for name, blocks in _BLOCKS.items() if _runnable(blocks) and not PAGES.get(name, Page()).elsewhere
]


@pytest.mark.parametrize("name", _WITH_COMMANDS)
def test_what_a_page_tells_to_type_works(name: str, tmp_path: Path, aws: Path) -> None:
    page = PAGES.get(name, Page())
    with sandbox(tmp_path, page, aws) as made:
        for path in (*pages.DOCS.glob("*.json"), *pages.DOCS.glob("*.toml")):
            shutil.copy(path, made.work)
            (made.work / path.name).chmod(0o600)
        for block in _BLOCKS[name]:
            if block.caption and block.language != "text":
                (made.work / block.caption).write_text(made.put_in(block.text), "utf-8")
        if page.prepare:
            made.run(f"preparation of {name}", made.put_in(page.prepare))
        made.run(name, made.put_in(_script(_runnable(_BLOCKS[name]))))


def test_commands_are_where_they_are_found() -> None:
    assert not _ERRORS, "\n".join(_ERRORS)


def test_blocks_that_are_typed_elsewhere_are_typed_there() -> None:
    for name, page in PAGES.items():
        if page.elsewhere:
            tests = Path(__file__).with_name(page.elsewhere).read_text("utf-8")
            for block in _runnable(_BLOCKS[name]):
                assert block.name, f"{name}:{block.line} has no `:name:` by which {page.elsewhere} finds it"
                assert f'"{block.name}"' in tests, f"{page.elsewhere} does not type {block.name} of {name}"


def test_no_page_is_listed_that_is_not_there() -> None:
    assert set(PAGES) <= set(_BLOCKS)


@pytest.mark.parametrize("name", sorted(name for name, blocks in _BLOCKS.items() if any(each.needs for each in blocks)))
def test_the_programs_of_a_page_are_installed(name: str) -> None:
    missing = {program for block in _BLOCKS[name] for program in block.needs if not shutil.which(program)}
    if missing:
        pytest.skip(f"{', '.join(sorted(missing))}: not installed, so what needs it in {name} was left out")


def test_examples_in_toml_and_json_can_be_read() -> None:
    for name, blocks in _BLOCKS.items():
        for block in blocks:
            try:
                if block.language == "toml":
                    # An ellipsis is for the reader to fill in.
                    text = block.text.replace('"..."', '"made-at-random"')
                    tomllib.loads(text)
                    if re.search(r"^\[users\.", text, re.MULTILINE):  # else it is a part of such a file
                        users.parse(text)
                elif block.language == "json":
                    json.loads(block.text)
            except ValueError as error:
                pytest.fail(f"{name}:{block.line}: {error}")
