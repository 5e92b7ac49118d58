"""The pieces of `python -m bench` that do no I/O: what they read, reckon and write."""

import argparse
import json
import socket
import threading
from pathlib import Path

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from bench import cli, copies, policies, table, versions, wrk
from bench.cases import List, Scale, all_cases, listed
from bench.loop import Loop
from bench.results import About, Report, Row
from bench.samples import Sample, Work, median, percentiles
from bench.signing import Call, Credentials, Signer, sha256

PRINTED = """Running 1s test @ http://127.0.0.1:1
  2 threads and 50 connections
Requests/sec:  10.00
bench: {"requests": 1000, "duration_us": 500000, "connect": 1, "read": 2, "write": 3, "status": 4, "timeout": 5, \
"p50": 1500.000000, "p90": 2000.0, "p99": 2500.0, "max": 9000.0}
"""


def sample(rate: float, **other: object) -> Sample:
    values = {"cpu": 10.0, "memory": 1_000_000, "requests": 5, "errors": 0, "latency_ms": {"p50": 1.0, "p99": 2.0}}
    return Sample(rate, **(values | other))


def test_a_head_is_signed_as_botocore_signs_it(monkeypatch):
    now = 1_700_000_000
    call = Call("PUT", "/bench/a b/ü+~", [("prefix", "x/y z"), ("a", "")], length=1, sha256=sha256(b"x"))
    head = Signer("127.0.0.1:9", Credentials("AK", "SK"), now).head(call).decode()
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    request = AWSRequest(
        "PUT",
        "http://127.0.0.1:9" + head.split(" ")[1],
        {"X-Amz-Content-SHA256": fields["X-Amz-Content-SHA256"], "host": "127.0.0.1:9"},
        b"x",
    )
    request.context["timestamp"] = fields["X-Amz-Date"]
    signer = S3SigV4Auth(BotocoreCredentials("AK", "SK"), "s3", "us-east-1")
    request.headers["X-Amz-Date"] = fields["X-Amz-Date"]
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert fields["Authorization"].endswith(f"Signature={signature}")
    assert fields["Content-Length"] == "1"


def test_what_wrk_printed_is_read():
    sent = wrk.parse(PRINTED, cpu=0.1, threads=2)
    assert (sent.requests, sent.seconds, sent.errors) == (996, 0.5, 15)
    assert sent.latency_ms == {"p50": 1.5, "p90": 2.0, "p99": 2.5, "max": 9.0}
    assert not sent.saturated


def test_a_generator_that_used_its_threads_up_is_told():
    assert wrk.parse(PRINTED, cpu=0.95, threads=2).saturated


def test_wrk_without_a_result_is_an_error():
    with pytest.raises(ValueError, match="unable to connect"):
        wrk.parse("unable to connect", 0, 1)


def test_the_file_of_requests_has_lengths_before_the_pieces(tmp_path):
    wrk.write_requests(tmp_path / "requests", Work([b"GET /", b"HEAD"], b"body"))
    assert (tmp_path / "requests").read_bytes() == b"4\nbody5\nGET /4\nHEAD"


def test_the_median_is_that_of_each_figure_and_errors_add_up():
    samples = [sample(3, cpu=1.0, errors=1), sample(1, cpu=None, doubt="g"), sample(2, cpu=3.0, memory=5)]
    found = median(samples)
    assert (found.rate, found.cpu, found.memory, found.errors, found.doubt) == (2, 2.0, 1_000_000, 1, "g")


def test_percentiles_of_nothing_and_of_something():
    assert percentiles([]) == {}
    assert percentiles([second / 1000 for second in range(101)]) == {"p50": 50, "p90": 90, "p99": 99, "max": 100}


@pytest.fixture
def report() -> Report:
    row = Row("get-1k", "GET 1 KiB", 50)
    row.add("zs3", sample(2000, cpu=100.0))
    row.add("other", sample(500, cpu=400.0, errors=7, doubt="g"))
    row.refused["third"] = "WrongAnswer: no"
    about = {"zs3": About("durable", "1", 0.5, 60_000_000), "other": About("fast"), "third": About("broken")}
    return Report({"kernel": "Linux"}, {"load generator": "wrk"}, about, [row])


def test_the_table_has_ratios_marks_and_troubles(report):
    text = table.render(report)
    rates, cpu = (next(line for line in part.splitlines() if line.startswith("GET")) for part in text.split("CPU time"))
    assert rates.split() == ["GET", "1", "KiB", "50", "2,000", "500", "(4.00)", "ge"]
    assert cpu.split() == ["GET", "1", "KiB", "50", "100", "400", "(0.25)", "ge"]
    assert "1.00 / 2.00" in text
    assert "* GET 1 KiB, 50 connections, third: WrongAnswer: no" in text
    assert "* GET 1 KiB, 50 connections, other: 7 errors, 5 good answers" in text


def test_the_report_goes_into_json(report):
    told = json.loads(json.dumps(report.as_json()))
    assert told["rows"][0]["median"]["zs3"]["rate"] == 2000
    assert len(told["rows"][0]["rounds"]["other"]) == 1


def test_names_are_chosen_by_patterns():
    assert cli.chosen(["get-1k", "get-1m", "put-1k"], "get-*") == ["get-1k", "get-1m"]
    with pytest.raises(ValueError, match="sweep"):
        cli.chosen(["get-1k"], "sweep")


def test_quick_leaves_alone_what_was_given():
    given = cli.parser().parse_args(["--quick", "--keys", "30000"])
    cli.quicken(given)
    assert isinstance(given, argparse.Namespace)
    assert (given.keys, given.seconds) == (30_000, 1)


def test_the_names_of_cases_are_unique():
    names = [case.name for case in [*all_cases(Scale(keys=10_000, huge=(20_000, 30_000))), *copies.cases()]]
    assert len(names) == len(set(names))
    assert "list-changed-20000" in names


def test_the_keys_of_the_large_buckets_come_in_order(tmp_path: Path) -> None:
    for case in all_cases(Scale(keys=20_000, huge=(10_000,))):
        if isinstance(case, List):
            keys = list(case.keys())
            assert keys == sorted(set(keys))
            assert set(case.starts) <= {"", *keys}
            if case.name == "list-tree-10000":
                case.plant(tmp_path)
                assert (tmp_path / case.bucket / keys[-1]).stat().st_size == 0


def test_a_listing_is_read():
    document = (
        b'<L xmlns="http://s3"><Prefix>p</Prefix><Contents><Key>a</Key></Contents>'
        b"<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes></L>"
    )
    assert listed(document, "Key") == ["a"]
    assert listed(document, "Prefix") == ["b/"]


@pytest.mark.parametrize(
    ("response", "bodiless"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", False),
    ],
)
def test_the_loop_sees_where_a_response_ends(response, bodiless):
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for _ in range(4 if b"close" in response else 1):
            connection = listener.accept()[0]
            with connection:
                while connection.recv(1000) and b"close" not in response:
                    for byte in response:  # however it comes
                        connection.send(bytes([byte]))
                if b"close" in response:
                    connection.send(response)

    thread = threading.Thread(target=serve)
    thread.start()
    work = Work([b"GET / HTTP/1.1\r\n\r\n"] * 3, once=True, bodiless=bodiless)
    sent = Loop().run(listener.getsockname(), work, 1, 30)()
    thread.join(30)
    listener.close()
    assert (sent.requests, sent.errors) == (3, 0)


def test_what_policies_cost_is_measured_of_right_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(policies, "_SETTLED_S", 0)
    figures = policies.measure(str(tmp_path), 2, 1)
    assert len(figures) == len(policies._CASES)
    assert all(0 < least <= median for _, least, median, _ in figures)
    assert figures[0][3] == 0


def test_what_versions_cost_is_measured_of_right_answers(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(versions, "_SETTLED_S", 0)
    arguments = ["--deep", "30", "--wide", "60", "--rounds", "2", "--directory", str(tmp_path)]
    assert versions.main(arguments) == 0
    title, *rows = capsys.readouterr().out.splitlines()
    assert title.startswith("CPU milliseconds")
    assert len(rows) == 12
    assert all(float(row.split()[-1]) >= float(row.split()[-2]) > 0 for row in rows)
    assert list(tmp_path.iterdir()) == []
