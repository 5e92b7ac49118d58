"""Directives for the two command lines, `twistd zs3` and `zs3`, and for the environment; taken from the code.

What is in the code and in no page, an option that no group of `docs/configuration.rst` has
or a variable of the environment that is told nowhere, is a warning, and so fails the build.
"""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)

_VARIABLE = re.compile(r"\bZS3_[A-Z_]+\b")
_LITERAL = re.compile(r"(?<![\w`])(--[a-z][a-z0-9-]*|[A-Z][A-Z0-9_]*_[A-Z0-9_]+|[A-Z]+/\.zs3[\w/]*|\$[A-Z]\w+)")
_DEFAULT = re.compile(r"\s*\[default: (.*)\]$")

#: What stands for the value of an option; VALUE where nothing better is known.
_PLACEHOLDERS = {
    "access-log": "FILE",
    "auth": "TYPE[:ARGUMENT]",
    "cache-size": "MIB",
    "console": "ENDPOINT",
    "data": "DIR",
    "dir-mode": "MODE",
    "domain": "NAME",
    "drain-timeout": "SECONDS",
    "event-targets": "FILE",
    "file-mode": "MODE",
    "help-auth-type": "TYPE",
    "lifecycle-day": "SECONDS",
    "listen": "ENDPOINT",
    "metrics": "ENDPOINT",
    "s3-url": "URL",
    "threads": "NUMBER",
    "website-domain": "NAME",
    "workers": "NUMBER",
}


class _FromRst(SphinxDirective):
    """A directive that writes reStructuredText."""

    def parsed(self, lines: list[str]) -> list[nodes.Node]:
        node = nodes.section()
        node.document = self.state.document
        source = f"<{self.name}>"
        content = StringList(lines, source, items=[(source, number) for number in range(len(lines))])
        self.state.nested_parse(content, self.content_offset, node, match_titles=True)
        return node.children


def _escaped(text: str) -> str:
    """Plain text of the code as reStructuredText."""
    text = re.sub(r"([\\*`|])", r"\\\1", re.sub(r"\s+", " ", text).strip())
    return _LITERAL.sub(r"``\1``", text).replace("_ ", "\\_ ")


def _described_options() -> dict[str, tuple[str, str]]:
    """The options of `twistd zs3` by name: as they are typed, and what they do."""
    from zs3.tap import Options

    options = Options()
    shorts = {long: f"-{short}" for short, long in options.synonyms.items() if len(short) == 1}
    found = {}
    for declared in options.longOpt:
        name = declared.rstrip("=")
        text, default = options.docs[name].strip(), options.defaults.get(name)
        if told := _DEFAULT.search(text):
            text, default = text[: told.start()], told[1]
        if declared.endswith("="):
            value = f" {_PLACEHOLDERS.get(name, 'VALUE')}"
            default_text = f" Default: ``{default}``." if default is not None else ""
        else:
            value = default_text = ""
        names = [*([f"{shorts[name]}{value}"] if name in shorts else []), f"--{name}{value}"]
        found[name] = (", ".join(names), f"{_escaped(text).rstrip('.')}.{default_text}")
    return found


class OptionGroup(_FromRst):
    """`.. options:: NAME NAME ...`: these options of `twistd zs3`; `all`, without an index, for the manual page."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        described = _described_options()
        names = self.arguments[0].split()
        everything = names == ["all"]
        lines = [".. program:: twistd zs3", ""]
        for name in sorted(described) if everything else names:
            if name not in described:
                raise self.error(f"twistd zs3 has no option --{name}")
            typed, text = described[name]
            lines += [f".. option:: {typed}", *(["   :no-index:"] if everything else []), "", f"   {text}", ""]
        if not everything:
            _groups(self.env).setdefault(self.env.docname, []).extend(names)
        return self.parsed(lines)


class Checkers(_FromRst):
    """`.. checkers::`: what `--auth` takes, and what it says of itself."""

    def run(self) -> list[nodes.Node]:
        from twisted.cred import strcred

        from zs3.tap import Options

        lines = []
        for factory in strcred.findCheckerFactories():
            if set(factory.credentialInterfaces) & set(Options.supportedInterfaces):
                lines += [f"``--auth {factory.authType}:ARGUMENT``", "", ".. code-block:: text", ""]
                lines += [f"   {line}" for line in inspect.cleandoc(factory.authHelp).splitlines()]
                lines += [""]
        return self.parsed(lines)


class Commands(_FromRst):
    """`.. commands::`: all commands of the program `zs3`, as its parser knows them."""

    option_spec = {"no-index": directives.flag}

    def run(self) -> list[nodes.Node]:
        from zs3.cli.main import make_parser

        lines: list[str] = []
        for parser in _commands(make_parser()):
            lines += self._command(parser)
        return self.parsed(lines)

    def _command(self, parser: argparse.ArgumentParser) -> list[str]:
        formatter = argparse.HelpFormatter(parser.prog, width=78)
        formatter.add_usage(parser.usage, parser._actions, parser._mutually_exclusive_groups, prefix="")
        usage = formatter.format_help().strip("\n").splitlines()
        lines = [
            parser.prog,
            "~" * len(parser.prog),
            "",
            ".. code-block:: text",
            "",
            *(f"   {line}" for line in usage),
            "",
        ]
        if parser.description:
            lines += [_escaped(parser.description), ""]
        lines += [f".. program:: {parser.prog}", ""]
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction | argparse._HelpAction):
                continue
            value = "" if action.nargs == 0 else f" {_value(action)}"
            typed = ", ".join(f"{each}{value}" for each in action.option_strings)
            # Help may have % of argparse.
            text = formatter._expand_help(action) if action.help and action.help != argparse.SUPPRESS else ""
            if typed:
                lines += [f".. option:: {typed}", "", f"   {_escaped(text)}", ""]
            elif text:
                lines += [f"``{_value(action)}``", f"   {_escaped(text)}", ""]
        return lines


def _value(action: argparse.Action) -> str:
    if action.metavar is not None:
        return str(action.metavar)
    if action.choices is not None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return action.dest.upper()


def _commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parsers that have no commands below them."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield parser
    for action in below:
        for each in action.choices.values():
            yield from _commands(each)


def _variables() -> set[str]:
    """The variables of the environment of which the code speaks."""
    import zs3

    sources = Path(zs3.__file__).parent.rglob("*.py")
    return {name for source in sources for name in _VARIABLE.findall(source.read_text("utf-8"))}


def _groups(env: BuildEnvironment) -> dict[str, list[str]]:
    """The options that are in groups, by page."""
    if not hasattr(env, "zs3_options"):
        env.zs3_options = {}
    found: dict[str, list[str]] = env.zs3_options
    return found


def forget(_: Sphinx, env: BuildEnvironment, page: str) -> None:
    """A page is read again."""
    _groups(env).pop(page, None)


def check(_: Sphinx, env: BuildEnvironment) -> None:
    """That nothing of the code is missing in the pages."""
    grouped = [name for names in _groups(env).values() for name in names]
    for name in sorted(_described_options().keys() - set(grouped)):
        logger.warning(
            "the option --%s is in no group: add it to an `.. options::` of docs/configuration.rst", name, type="zs3"
        )
    for name in sorted({each for each in grouped if grouped.count(each) > 1}):
        logger.warning("the option --%s is in several groups of docs/configuration.rst", name, type="zs3")
    told = {name for name, _, kind, *_ in env.get_domain("std").get_objects() if kind == "envvar"}
    for name in sorted(_variables() - told):
        logger.warning("%s is told nowhere: add an `.. envvar::` to docs/configuration.rst", name, type="zs3")


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("options", OptionGroup)
    app.add_directive("checkers", Checkers)
    app.add_directive("commands", Commands)
    app.connect("env-purge-doc", forget)
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": False}  # groups of pages would have to be united
