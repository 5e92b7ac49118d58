"""Directives that take from the code what would drift if it were written down twice."""

from __future__ import annotations

import tomllib
from pathlib import Path
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
    """`.. operations:: LEVEL`: the table of zs3.web.operations for one level: service, account, bucket or object."""

    required_arguments = 1
    option_spec = {"untouched": directives.flag}

    def run(self) -> list[nodes.Node]:
        from zs3.web import untouched
        from zs3.web.operations import OPERATIONS

        configuration = {entry.read for each in (untouched.BUCKET, untouched.OBJECT) for entry in each.values()}
        configuration |= {entry.remove for each in (untouched.BUCKET, untouched.OBJECT) for entry in each.values()}
        configuration |= {"PutBucketAcl", "PutObjectAcl"}
        path = {
            "service": "/",
            "account": "/v20180820/configuration/publicAccessBlock",
            "bucket": "/bucket",
            "object": "/bucket/key",
        }[self.arguments[0]]
        rows: list[list[nodes.Node]] = []
        for each in OPERATIONS:
            if (
                each.level != self.arguments[0]
                or each.refusal
                or (each.name in configuration) != ("untouched" in self.options)
            ):
                continue
            request = f"{each.method} {path}{'?' + each.query if each.query else ''}"
            details = _literal(request)
            if each.header:
                details += [nodes.Text(" with "), nodes.literal(text=each.header)]
            rows.append([nodes.paragraph(text=each.name), details, nodes.paragraph(text=each.access)])
        if not rows:
            raise self.error(f"no operation of the level {self.arguments[0]}")
        return [_table(["Operation", "Request", "Needs"], [35, 50, 15], rows)]


class Compatibility(Directive):
    """`.. compatibility::`: every operation that boto3's model of S3 has, and what becomes of a request for it."""

    def run(self) -> list[nodes.Node]:
        import botocore.session

        model = botocore.session.get_session().get_service_model("s3")
        rows: list[list[nodes.Node]] = []
        for name in model.operation_names:
            http = model.operation_model(name).http
            outcome = _outcome(name, http["method"], http["requestUri"])
            rows.append([nodes.paragraph(text=name), nodes.paragraph(text=outcome)])
        return [_table(["Operation", "zs3"], [45, 55], rows)]


def _outcome(name: str, method: str, uri: str) -> str:
    from urllib.parse import parse_qsl

    from zs3.errors import ERRORS, S3Error
    from zs3.web import untouched
    from zs3.web.operations import BUCKET, OBJECT, OPERATIONS, SERVICE, find

    known = {each.name: each for each in OPERATIONS}
    if name in known:
        if refusal := known[name].refusal:
            return f"refused: {refusal} ({ERRORS[refusal][0]})"
        entries = [*untouched.BUCKET.values(), *untouched.OBJECT.values()]
        if any(name in (entry.read, entry.remove) for entry in entries):
            return "partial: as of a bucket or object where nothing is configured"
        return "supported"
    path, _, query = uri.partition("?")
    level = OBJECT if "{Key+}" in path else SERVICE if path == "/" else BUCKET
    try:
        found = find(level, method, parse_qsl(query, keep_blank_values=True), {}.get)
    except S3Error as error:
        return f"refused: {error.code} ({error.status})"
    return f"as {found.name}, which has the same request"


class Headers(Directive):
    """`.. request-headers:: FILE`: the tables of docs/headers.toml, which the tests hold against the daemon."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        source = Path(self.state.document.settings.env.srcdir) / self.arguments[0]
        self.state.document.settings.env.note_dependency(str(source))
        rows: list[list[nodes.Node]] = []
        for table in tomllib.loads(source.read_text("utf-8"))["header"]:
            names = nodes.paragraph()
            for name in table["names"]:
                names += [nodes.Text(", ") if len(names) else nodes.Text(""), nodes.literal(text=name)]
            outcome = table["outcome"]
            if outcome not in ("supported", "without effect"):
                outcome = f"refused: {outcome}"
            details = [f"of {', '.join(table['operations'])}"] if "operations" in table else []
            details += [table["note"]] if "note" in table else []
            text = "; ".join(details)
            rows.append([names, nodes.paragraph(text=outcome), nodes.paragraph(text=text)])
        return [_table(["Header", "zs3", ""], [40, 22, 38], rows)]


class Metrics(Directive):
    """`.. metrics::`: what `--metrics` tells, from zs3.metrics.definitions."""

    def run(self) -> list[nodes.Node]:
        from zs3.metrics.definitions import COUNTED, LOOKED_UP

        rows: list[list[nodes.Node]] = []
        for each in (*COUNTED, *LOOKED_UP):
            name = nodes.paragraph()
            name += nodes.literal(text=each.name)
            labels = nodes.paragraph()
            for label in each.labels:
                labels += [nodes.Text(", ") if len(labels) else nodes.Text(""), nodes.literal(text=label)]
            rows.append([name, nodes.paragraph(text=each.kind), labels, nodes.paragraph(text=each.help)])
        return [_table(["Metric", "Type", "Labels", "Tells"], [38, 12, 15, 35], rows)]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("operations", Operations)
    app.add_directive("compatibility", Compatibility)
    app.add_directive("request-headers", Headers)
    app.add_directive("metrics", Metrics)
    return {"parallel_read_safe": True}
