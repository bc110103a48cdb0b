"""deploy/alerts: rules for log pipelines, about lines and fields that the product writes."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from compliance.detection.emitting import PREFIX
from compliance.models import SignalKind, SignalSeverity
from tests.compliance.detection_log import joined, run_flow, scan

FOLDER = Path(settings.BASE_DIR) / "deploy" / "alerts"
LOKI = FOLDER / "loki.yml"
ELASTIC = sorted(FOLDER.glob("elastalert-*.yaml"))
EVENTS = {f"{PREFIX}.{name}" for name in ("", "scan_ok", "scan_error", *SignalKind.values)}
SELECTOR = re.compile(r'\{app="kaireon"\} \|= "([^"]+)"')


def loki() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(LOKI.read_text())["groups"] for rule in group["rules"]]


def elastic(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


@pytest.fixture
def fields(db: str, caplog: Any) -> set[str]:
    """What a line of a signal has, beside what every line has."""
    run_flow(joined("new"))
    scan()
    [line] = [record for record in caplog.records if record.name == "kaireon.security"]
    return {*vars(line), "event", "time"}


@pytest.mark.parametrize("rule", loki(), ids=lambda rule: rule["alert"])
def test_a_rule_for_loki_asks_for_what_is_written(rule: dict[str, Any], fields: set[str]) -> None:
    query = rule["expr"]
    assert SELECTOR.findall(query), query
    assert set(SELECTOR.findall(query)) <= EVENTS
    for grouped in re.findall(r"sum by \(([^)]+)\)", query):
        assert {name.strip() for name in grouped.split(",")} <= fields
    for severity in re.findall(r'severity="(\w+)"', query):
        assert severity in SignalSeverity.values
    assert re.search(r"\[\d+m\]", query)
    for opened, closed in ("()", "[]", "{}"):
        assert query.count(opened) == query.count(closed)


def test_rules_for_loki_say_how_bad_it_is_and_what_to_do() -> None:
    assert len({rule["alert"] for rule in loki()}) == len(loki()) >= 4
    for rule in loki():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert set(rule["annotations"]) == {"summary", "action"}


@pytest.mark.parametrize("path", ELASTIC, ids=lambda path: path.stem)
def test_a_rule_for_elastalert_asks_for_what_is_written(path: Path, fields: set[str]) -> None:
    rule = elastic(path)
    assert (
        rule["name"] == path.stem.replace("elastalert", "kaireon")
        or rule["name"] == f"kaireon-security-{path.stem[11:]}"
    )
    assert rule["type"] in {"any", "flatline"}
    asked = {name: value for part in rule["filter"] for query in part.values() for name, value in query.items()}
    assert set(asked) <= fields
    assert asked["event"] in EVENTS
    named = {*rule.get("alert_text_args", ()), *rule.get("alert_subject_args", ()), rule.get("query_key", "event")}
    assert named - {"error_type"} <= fields


def test_each_pipeline_hears_of_pages_of_failures_and_of_silence() -> None:
    queries = " ".join(rule["expr"] for rule in loki())
    assert "absent_over_time" in queries
    assert {"security.behavioral.", "security.behavioral.scan_error", "security.behavioral.scan_ok"} <= set(
        SELECTOR.findall(queries)
    )
    assert {elastic(path)["type"] for path in ELASTIC} == {"any", "flatline"}
    assert len(ELASTIC) == 3
