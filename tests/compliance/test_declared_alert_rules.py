"""Alert rules as files declare them."""

from pathlib import Path

import pytest
from django.core.management import CommandError

from compliance.alerting import metrics, providers, rules
from compliance.alerting.metrics import Asked
from compliance.models import AlertRule
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.cast import ACME, ADA
from tests.compliance.declared import apply, check, declare, folder, manage, of_acme

__all__ = ["folder"]


RULES = """kaireon: 1
alertRules:
  Overdue requests: {metric: dsar_overdue, operator: gt, threshold: 0, severity: critical, channels: [Office]}
  Dead letters: {metric: dead_letters, operator: gt, threshold: 100, forSeconds: 300}
"""


def test_alert_rules_are_made_changed_and_removed_as_declared(db: str, folder: Path) -> None:
    path = declare(folder, RULES)
    with pytest.raises(CommandError, match="there is no notification provider 'Office'"):
        apply(path)
    with ADA.here(), transaction():
        providers.create(name="Office", kind="email", recipients=[ADA.email], now=clock.now())
        assert not AlertRule.objects.exists()
    assert "2 changes made" in apply(path)
    assert of_acme(check())["drift"] == 0
    assert apply(declare(folder, manage("config_export", f"--tenant={ACME}"))) == "All is as declared.\n"
    with ADA.here(), transaction():
        rule = AlertRule.objects.get(name="Dead letters")
        rules.change(rule.pk, given={"threshold": 5.0}, now=clock.now())
    declare(folder, RULES)
    [difference] = of_acme(check())["differences"]
    assert difference["fields"] == {"threshold": {"declared": 100, "actual": 5.0}}
    with ADA.here(), transaction():
        now = clock.now()
        assert metrics.get("config_drift").read(Asked(now=now, since=now)) == 1
    declare(folder, "\n".join(RULES.splitlines()[:-1]))
    assert "- alertRules/Dead letters" in apply(path)
    with ADA.here(), transaction():
        assert [rule.name for rule in AlertRule.objects.present()] == ["Overdue requests"]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ("operator: gt, threshold: 1", "metric: must be said"),
        ("metric: nope, operator: gt, threshold: 1", "metric: 'nope' is no metric; known are"),
        ("metric: dead_letters, operator: over, threshold: 1", "operator: must be one of"),
        ("metric: dead_letters, operator: gt, threshold: high", "threshold: must be a number"),
        ("metric: dead_letters, operator: gt, threshold: true", "threshold: must be a number"),
        ("metric: dead_letters, operator: gt, threshold: .nan", "threshold: must be from -1000000000000 to"),
        (f"metric: dead_letters, operator: gt, threshold: {'9' * 400}", "threshold: must be from -1000000000000 to"),
        ("metric: dead_letters, operator: gt, threshold: 1, enabled: 1", "enabled: must be true or false"),
        ("metric: dead_letters, operator: gt, threshold: 1, channels: [b, a]", "in the order of the alphabet"),
    ],
)
def test_an_alert_rule_that_is_none_is_refused(db: str, folder: Path, fields: str, problem: str) -> None:
    path = declare(folder, f"kaireon: 1\nalertRules:\n  One: {{{fields}}}\n")
    with pytest.raises(CommandError, match=r"acme\.yaml: alertRules\.One: ") as refused:
        apply(path)
    assert problem in str(refused.value)
    said = "metric: dead_letters, operator: gt, threshold: 1, windowSeconds: 60"
    path = declare(folder, f"kaireon: 1\nalertRules:\n  One: {{{said}}}\n")
    with pytest.raises(CommandError, match="windowSeconds dead_letters is of the moment"):
        apply(path)
