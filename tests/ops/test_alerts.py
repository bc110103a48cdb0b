"""deploy/alerts.yml asks only for what the product exports, and says what to do."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from kaireon.ops import metrics

RULES = Path(settings.BASE_DIR) / "deploy" / "alerts.yml"
_METRIC = re.compile(r"\b(?:kaireon_|queue_|http_|cert_)\w+")


def rules() -> list[dict[str, Any]]:
    found = yaml.safe_load(RULES.read_text())
    return [rule for group in found["groups"] for rule in group["rules"]]


def exported() -> set[str]:
    families = text_string_to_metric_families(generate_latest(metrics.registry()).decode())
    return {name for family in families for name in (family.name, *(sample.name for sample in family.samples))}


@pytest.mark.usefixtures("db")
def test_every_metric_that_a_rule_names_is_exported() -> None:
    known = exported()
    named = {metric for rule in rules() for metric in _METRIC.findall(rule["expr"])}
    assert named
    assert named - known == set()


def test_every_rule_says_how_bad_it_is_and_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    for rule in rules():
        assert _METRIC.search(rule["expr"]), rule["alert"]
        assert rule["labels"]["severity"] in {"page", "ticket"}, rule["alert"]
        assert re.fullmatch(r"[0-9]+[smh]", rule["for"]), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "action"}, rule["alert"]


def test_what_did_not_leave_and_what_nobody_signed_are_alerts() -> None:
    named = {metric for rule in rules() for metric in _METRIC.findall(rule["expr"])}
    assert {
        "kaireon_audit_checkpoint_age_seconds",
        "kaireon_audit_unpublished_seconds",
        "kaireon_audit_unwitnessed_seconds",
    } <= named
