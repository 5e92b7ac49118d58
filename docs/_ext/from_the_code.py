"""Directives that take from the code what would drift if it were written down twice."""

from __future__ import annotations

import os
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive, directives
from sphinx.application import Sphinx


def _table(titles: list[str], widths: list[int], rows: list[list[nodes.Node]]) -> nodes.table:
    group = nodes.tgroup(cols=len(titles))
    group += [nodes.colspec(colwidth=width) for width in widths]
    head, body = nodes.thead(), nodes.tbody()
    head += _row([nodes.paragraph(text=title) for title in titles])
    body += [_row(cells) for cells in rows]
    group += [head, body]
    return nodes.table("", group)


def _row(cells: list[nodes.Node]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", cell) for cell in cells))


def _literal(text: str) -> nodes.paragraph:
    paragraph = nodes.paragraph()
    if text:
        paragraph += nodes.literal(text=text)
    return paragraph


class Operations(Directive):
    """`.. operations:: LEVEL`: the table of zs3.web.operations for one level: service, bucket or object."""

    required_arguments = 1
    option_spec = {"untouched": directives.flag}

    def run(self) -> list[nodes.Node]:
        from zs3.web import untouched
        from zs3.web.operations import OPERATIONS

        configuration = {entry.read for each in (untouched.BUCKET, untouched.OBJECT) for entry in each.values()}
        configuration |= {entry.remove for each in (untouched.BUCKET, untouched.OBJECT) for entry in each.values()}
        configuration |= {"PutBucketAcl", "PutObjectAcl"}
        path = {"service": "/", "bucket": "/bucket", "object": "/bucket/key"}[self.arguments[0]]
        rows: list[list[nodes.Node]] = []
        for each in OPERATIONS:
            if each.level != self.arguments[0] or (each.name in configuration) != ("untouched" in self.options):
                continue
            request = f"{each.method} {path}{'?' + each.query if each.query else ''}"
            details = _literal(request)
            if each.header:
                details += [nodes.Text(" with "), nodes.literal(text=each.header)]
            rows.append([nodes.paragraph(text=each.name), details, nodes.paragraph(text=each.access)])
        if not rows:
            raise self.error(f"no operation of the level {self.arguments[0]}")
        return [_table(["Operation", "Request", "Needs"], [35, 50, 15], rows)]


class CommandLine(Directive):
    """`.. command-line::`: the help text of `twistd zs3`, from zs3.tap."""

    def run(self) -> list[nodes.Node]:
        from zs3.tap import Options

        os.environ["COLUMNS"] = "100"
        usage = Options().getUsage()
        return [nodes.literal_block(text=usage[usage.index("Options:") :].strip(), language="text")]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("operations", Operations)
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True}
