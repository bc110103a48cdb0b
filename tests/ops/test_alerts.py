"""deploy/alerts.yml is PromQL about what the product exports, and says what to do."""

import re
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml
from django.conf import settings
from prometheus_client import REGISTRY
from prometheus_client.core import Metric

from kaireon.ops import metrics

RULES = Path(settings.BASE_DIR) / "deploy" / "alerts.yml"
# Which Prometheus puts to every series itself. What is exported under such a name it renames: to exported_job, say.
TAKEN = {"job", "instance"}


def rules() -> list[dict[str, Any]]:
    found = yaml.safe_load(RULES.read_text())
    return [rule for group in found["groups"] for rule in group["rules"]]


def nodes(query: str) -> list[promql.Expr]:
    """Raises ValueError when Prometheus would refuse to load it."""
    found: list[promql.Expr] = []
    promql.walk(promql.parse(query), pre_visit=found.append)
    return found


def selectors(query: str) -> list[promql.VectorSelector]:
    return [node for node in nodes(query) if isinstance(node, promql.VectorSelector)]


def grouped_by(query: str) -> set[str]:
    """The labels that aggregations and comparisons of vectors name."""
    modifiers = [getattr(node, "modifier", None) for node in nodes(query)]
    named = [getattr(modifier, "matching", None) or modifier for modifier in modifiers if modifier]
    return {label for each in named for label in getattr(each, "labels", None) or ()}


def labels_of(family: Metric) -> set[str]:
    """Of its series, and where there is none yet, those that it is declared with."""
    declared = {
        label
        for counter, names in REGISTRY._collector_to_names.items()
        if family.name in names
        for label in getattr(counter, "_labelnames", ())
    }
    return {*getattr(family, "_labelnames", ()), *declared, *(label for s in family.samples for label in s.labels)}


@pytest.fixture
def families(db: str) -> dict[str, Metric]:
    """By the name of the family and of each of its series."""
    collected = list(metrics.registry().collect())
    return {name: family for family in collected for name in (family.name, *(s.name for s in family.samples))}


def faults(query: str, families: dict[str, Metric]) -> list[str]:
    """What the query asks for and nobody exports."""
    found = []
    for selector in selectors(query):
        if (family := families.get(selector.name or "")) is None:
            found.append(f"no metric {selector.name}")
            continue
        wanted = {matcher.name: matcher for matcher in selector.matchers.matchers}
        known = labels_of(family)
        found += [
            f"no label {label} of {selector.name}" for label in sorted((wanted.keys() | grouped_by(query)) - known)
        ]
        exact = {name: m.value for name, m in wanted.items() if m.op == promql.MatchOp.Equal}
        if family.samples and not any(exact.items() <= sample.labels.items() for sample in family.samples):
            found.append(f"no series {exact} of {selector.name}")
    return found


def test_every_rule_is_a_query_about_what_is_exported(families: dict[str, Metric]) -> None:
    for rule in rules():
        assert selectors(rule["expr"]), rule["alert"]
        assert faults(rule["expr"], families) == [], rule["alert"]


WRONG = {
    "kaireon_audit_gone_seconds > 300": "no metric kaireon_audit_gone_seconds",
    'kaireon_source_up{sauce="audit"} == 0': "no label sauce of kaireon_source_up",
    'kaireon_source_up{source="ketchup"} == 0': "no series {'source': 'ketchup'} of kaireon_source_up",
    "sum by (tenant) (kaireon_dlq_depth) > 1": "no label tenant of kaireon_dlq_depth",
    "kaireon_dlq_depth > on (tenant) queue_depth": "no label tenant of kaireon_dlq_depth",
    # Of which there is no series yet.
    'kaireon_audit_verification_intact{log="acme"} == 0': "no label log of kaireon_audit_verification_intact",
    'rate(http_responses{code="500"}[5m]) > 1': "no label code of http_responses",
}


def test_a_query_about_something_else_is_found(families: dict[str, Metric]) -> None:
    for query, fault in WRONG.items():
        assert fault in faults(query, families), query


@pytest.mark.parametrize("query", ["kaireon_source_up ==", "rate(kaireon_dlq_depth) > 1", "sum by (x) (a", "a{b=}"])
def test_a_query_that_does_not_parse_is_found(query: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        nodes(query)


def test_no_label_is_one_that_prometheus_renames(families: dict[str, Metric]) -> None:
    assert {(name, label) for name, family in families.items() for label in labels_of(family) & TAKEN} == set()


def test_every_rule_says_how_bad_it_is_and_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    for rule in rules():
        assert rule["labels"]["severity"] in {"page", "ticket"}, rule["alert"]
        assert re.fullmatch(r"[0-9]+[smh]", rule["for"]), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "action"}, rule["alert"]


def test_what_did_not_leave_and_what_nobody_signed_are_alerts() -> None:
    named = {selector.name for rule in rules() for selector in selectors(rule["expr"])}
    assert {
        "kaireon_audit_checkpoint_age_seconds",
        "kaireon_audit_unpublished_seconds",
        "kaireon_audit_unwitnessed_seconds",
    } <= named
