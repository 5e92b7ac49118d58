"""The files in contrib/ and the manual ask for what there is, and for all of it."""

import itertools
import re
import shutil
import subprocess

import pytest
import yaml

from tests.monitoring import CONTRIB, RULES, asked_for, dashboard, queries, rules
from zs3.metrics import definitions
from zs3.metrics.definitions import HISTOGRAM

#: By the names that samples have, the labels.  Prometheus adds its own.
LABELS = {}
for each in (*definitions.COUNTED, *definitions.LOOKED_UP):
    names = [each.name]
    if each.kind == HISTOGRAM:
        names = [each.name + end for end in ("_bucket", "_sum", "_count")]
    LABELS |= {name: {*each.labels, "le", "job", "instance"} for name in names}


def test_every_metric_and_label_that_is_asked_for_is_there():
    found = list(itertools.chain.from_iterable(map(asked_for, queries())))
    assert len(found) > 50
    for name, labels in found:
        assert name in LABELS, name
        assert labels <= LABELS[name], (name, labels)


def test_queries_part_by_labels_that_are_there():
    for query in queries():
        known = set().union(*(LABELS[name] for name, _ in asked_for(query)))
        for labels in re.findall(r"\bby \(([^)]*)\)", query):
            assert {label.strip() for label in labels.split(",")} <= known, query


def test_the_dashboard_shows_every_metric():
    shown = {name for panel in dashboard()["panels"] for target in panel.get("targets", [])
             for name, _ in asked_for(target["expr"])}  # fmt: skip
    for each in (*definitions.COUNTED, *definitions.LOOKED_UP):
        if each is not definitions.VIRTUAL:  # tells nobody anything, but every exporter has it
            assert any(name.startswith(each.name) for name in shown), each.name


def test_the_dashboard_can_be_imported_anywhere():
    board = dashboard()
    assert board["title"] == board["uid"] == "zs3"
    assert board["schemaVersion"] >= 36
    assert [variable["name"] for variable in board["templating"]["list"]] == ["datasource", "job", "instance"]
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
            assert panel["targets"]
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == "${datasource}"
            # All of them heed what is chosen at the top.
            for _, labels in asked_for(target["expr"]):
                assert {"job", "instance"} <= labels, target["expr"]


def test_no_panel_of_the_dashboard_lies_on_another():
    seen = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert max(x for x, _ in cells) < 24
        assert not cells & seen, panel["title"]
        seen |= cells


def test_alerts_have_names_severities_and_words():
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    for rule in rules():
        assert rule["alert"].startswith("Zs3")
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]


#: What an instance tells, minute by minute, and the alerts that are raised after a quarter of an hour of it.
TROUBLES = [
    ({"up{}": "0x20"}, ["Zs3Down"]),
    ({"zs3_disk_failed{}": "1x20"}, ["Zs3DiskFailed"]),
    ({"zs3_ready{}": "0x20"}, ["Zs3NotReady"]),
    ({"zs3_ready{}": "1x20", "up{}": "1x20", "zs3_disk_failed{}": "0x20"}, []),
    (
        {
            'zs3_requests_total{operation="PutObject", status="500"}': "0+5x20",
            'zs3_requests_total{operation="GetObject", status="200"}': "0+100x20",
        },
        ["Zs3ServerErrors"],
    ),
    # A load balancer that asks a daemon which is not ready is no failure of a request.
    ({'zs3_requests_total{operation="HealthReady", status="503"}': "0+100x20"}, []),
    ({'zs3_errors_total{code="InternalError"}': "0x10 1x10"}, ["Zs3InternalErrors"]),
    ({'zs3_errors_total{code="InternalError"}': "7x20", 'zs3_errors_total{code="NoSuchKey"}': "0+9x20"}, []),
    ({"zs3_disk_available_bytes{}": "4x20", "zs3_disk_size_bytes{}": "100x20"}, ["Zs3DiskFull"]),
    ({"zs3_disk_inodes_available{}": "4x20", "zs3_disk_inodes{}": "100x20"}, ["Zs3FilesRunOut"]),
    ({"zs3_disk_inodes_available{}": "0x20", "zs3_disk_inodes{}": "0x20"}, []),
    ({"zs3_thread_queue_length{}": "40x20", "zs3_threads{}": "32x20"}, ["Zs3ThreadsBusy"]),
    ({'zs3_authentication_failures_total{code="AccessDenied"}': "0+600x20"}, ["Zs3WrongKeys"]),
    ({'process_open_fds{worker="1"}': "90x20", 'process_max_fds{worker="1"}': "100x20"}, ["Zs3FewFileDescriptors"]),
    ({'process_start_time_seconds{worker="1"}': "1x5 2 3 4x15"}, ["Zs3WorkersDie"]),
    # The daemon itself was restarted.
    ({'process_start_time_seconds{worker="0"}': "1x5 2 3 4x15"}, []),
]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
class TestPromtool:
    def run(self, *arguments):
        done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def test_the_rules_and_the_configuration_are_valid(self):
        self.run("check", "rules", RULES)
        self.run("check", "config", CONTRIB / "prometheus" / "prometheus.yml")

    def test_alerts_are_raised_by_what_they_are_for_and_by_nothing_else(self, tmp_path):
        tests = []
        for told, alerts in TROUBLES:
            series = [
                {"series": name.replace("{", '{job="zs3", instance="a", ').replace(", }", "}"), "values": values}
                for name, values in told.items()
            ]
            raised = [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in alerts]
            query = 'count by (alertname) (ALERTS{alertstate="firing"})'
            expected = {"expr": query, "eval_time": "15m", "exp_samples": raised}
            tests.append({"interval": "1m", "input_series": series, "promql_expr_test": [expected]})
        file = tmp_path / "test.yml"
        document = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}
        file.write_text(yaml.safe_dump(document))
        self.run("test", "rules", file)
