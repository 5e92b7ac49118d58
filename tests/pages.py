"""What the pages of the manual tell people to type.

Takes the blocks out of docs/*.rst and README.rst, with what is said of them: a comment
before a block says that it is not run, and why, or which programs it needs.
`python -m tests.pages` lists all blocks.  Runs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"

#: Languages whose blocks are run, and those that have commands, which must not be in other blocks.
RUN = ("shell", "console", "python")
_FORBIDDEN = ("bash", "sh", "shell-session", "pycon")

#: Why a block may be left out: `.. not run: REASON`, a comment, before it.  More may be said after one of these.
REASONS = (
    "it takes root",
    "it takes systemd",
    "it takes another machine",
    "it takes the network",
    "it takes a program that",
    "it takes minutes",
    "it is what runs",
)

#: What must not be tried on the machine of whoever runs the tests.
_FOR_ROOT = re.compile(
    r"\s*(?:.*&& )?(?:systemctl|apt|apt-get|dpkg|groupadd|useradd|usermod|mount|umount|mkfs\S*|hdparm|certbot|sysctl"
    r"|(?:cp|mv|ln|install|mkdir|chown|chmod|tee)\s.*\s/(?:etc|opt|usr|lib|srv|var)/)\b"
)
#: Beginnings of lines that are commands, wherever they stand.
_COMMAND = re.compile(
    r"\s*(?:\$ |# )?(?:\.venv/bin/)?(?:twistd|zs3|aws|rclone|restic|s3cmd|pip|systemctl|curl|docker|podman) "
)
_DIRECTIVE = re.compile(r"(?P<indent>\s*)\.\. (?P<kind>code-block|literalinclude):: *(?P<argument>\S*)$")
_COMMENT = re.compile(r"\s*\.\. (?P<what>not run|needs): (?P<text>.+)$")


class PageError(Exception):
    """A page has something that the tests cannot treat; tells what to do."""


@dataclass(frozen=True)
class Block:
    """A block of a page.

    :ivar line: the number of its first line in the page, from 1.
    :ivar lines: without indentation.
    :ivar caption: the name of the file that it shows.
    :ivar reason: why it is not run, "" if it is.
    :ivar needs: programs without which it is not run.
    :ivar name: by which other tests find it.
    :ivar included: it is another file, and not for typing.
    """

    language: str
    line: int
    lines: tuple[str, ...]
    caption: str = ""
    reason: str = ""
    needs: tuple[str, ...] = ()
    included: bool = False
    name: str = ""

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def pages() -> dict[str, Path]:
    """All pages by name."""
    return {path.name: path for path in (REPOSITORY / "README.rst", *sorted(DOCS.glob("*.rst")))}


def blocks(path: Path) -> list[Block]:
    """The blocks of a page, in order; PageError."""
    lines = path.read_text("utf-8").splitlines()
    return list(_blocks(path, lines))


def _blocks(path: Path, lines: list[str]) -> Iterator[Block]:
    said: dict[str, str] = {}
    number = 0
    while number < len(lines):
        line = lines[number]
        if comment := _COMMENT.match(line):
            said[comment["what"]] = comment["text"].strip()
            number += 1
            while number < len(lines) and lines[number].startswith("   "):
                said[comment["what"]] += " " + lines[number].strip()
                number += 1
            continue
        if directive := _DIRECTIVE.match(line):
            yield from _directive(path, lines, number, directive, said)
        elif line.rstrip().endswith("::") and not line.lstrip().startswith(".. "):
            _, content = _content(lines, number, len(line) - len(line.lstrip()))
            if any(_COMMAND.match(each) for each in content):
                raise PageError(
                    f"{path.name}:{number + 1}: commands belong in a `.. code-block:: shell`, so that they are run"
                )
        if line.strip():
            if said and not directive:
                raise PageError(
                    f"{path.name}:{number + 1}: `not run` or `needs` stands before something that is no block"
                )
            said = {}
        number += 1


def _directive(
    path: Path, lines: list[str], number: int, directive: re.Match[str], said: Mapping[str, str]
) -> Iterator[Block]:
    options: dict[str, str] = {}
    start = number + 1
    while start < len(lines) and (option := re.match(r"\s+:([\w-]+): *(.*)$", lines[start])):
        options[option[1]] = option[2].strip()
        start += 1
    place = f"{path.name}:{number + 1}"
    if directive["kind"] == "literalinclude":
        source = path.parent / directive["argument"]
        language = options.get("language", "text")
        lines = source.read_text("utf-8").splitlines()
        yield Block(language, 1, tuple(lines), options.get("caption", source.name), included=True)
        return
    language = directive["argument"] or "text"
    if language in _FORBIDDEN:
        raise PageError(f"{place}: say `shell` for {language}, so that it is run")
    first, content = _content(lines, start - 1, len(directive["indent"]))
    if language not in RUN and any(_COMMAND.match(each) for each in content):
        raise PageError(f"{place}: commands belong in a `.. code-block:: shell`, so that they are run")
    reason = said.get("not run", "")
    if reason and not reason.startswith(REASONS):
        raise PageError(f"{place}: {reason!r} is no reason not to run it; known are: {', '.join(REASONS)}")
    if language in RUN and not reason and any(_FOR_ROOT.match(each) for each in content):
        raise PageError(f"{place}: this takes root; put `.. not run: it takes root` before it")
    needs = tuple(said.get("needs", "").replace(",", " ").split())
    yield Block(
        language, first, tuple(content), options.get("caption", ""), reason, needs, name=options.get("name", "")
    )


def _content(lines: list[str], number: int, indent: int) -> tuple[int, list[str]]:
    """The number of the first line (from 1), and the lines, of what is indented after a line."""
    start = number + 1
    while start < len(lines) and not lines[start].strip():
        start += 1
    end = start
    while end < len(lines) and (not lines[end].strip() or len(lines[end]) - len(lines[end].lstrip()) > indent):
        end += 1
    while end > start and not lines[end - 1].strip():
        end -= 1
    found = lines[start:end]
    margin = min((len(each) - len(each.lstrip()) for each in found if each.strip()), default=0)
    return start + 1, [each[margin:] for each in found]


def main() -> None:
    """List all blocks with commands."""
    for name, path in pages().items():
        for block in blocks(path):
            if block.language in RUN and not block.included:
                needs = f" (needs {', '.join(block.needs)})" if block.needs else ""
                print(f"{name}:{block.line}: {f'not run: {block.reason}' if block.reason else f'run{needs}'}")


if __name__ == "__main__":
    main()
