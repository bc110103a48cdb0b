"""Evaluating rules: each change once, recorded with what was found, whatever comes between."""

import contextlib
import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection

from compliance.alerting import evaluation, history, rules
from compliance.models import AlertChange, AlertNotification, AlertRule
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.outbox.models import Message
from kaireon.tenancy.context import transaction
from tests.alerting.conftest import (
    FIGURE,
    NOON,
    again,
    course,
    evaluate,
    figure,
    make,
    minutes,
    notices,
    provider,
    recorded,
)
from tests.cast import ADA, GLOBEX, MALLORY
from tests.race import at_once

pytestmark = pytest.mark.usefixtures("db")


@pytest.mark.parametrize(
    ("operator", "below", "at", "above"),
    [
        ("gt", "ok", "ok", "firing"),
        ("gte", "ok", "firing", "firing"),
        ("lt", "firing", "ok", "ok"),
        ("lte", "firing", "firing", "ok"),
        ("eq", "ok", "firing", "ok"),
        ("ne", "firing", "ok", "firing"),
    ],
)
def test_each_operator_on_both_sides_of_the_limit(operator: str, below: str, at: str, above: str) -> None:
    for number, (value, state) in enumerate(((9.999999, below), (10, at), (10.000001, above))):
        rule = make(name=f"Rule {number}", operator=operator)
        figure(value)
        evaluate()
        assert again(rule).state == state, value
        assert again(rule).value == value


def test_each_change_is_a_row_and_a_record_with_what_was_found() -> None:
    rule = make(lasting_seconds=60, cooldown_seconds=60)
    for minute, value in enumerate((3, 11, 12, 13, 4, 4, 4)):
        figure(value)
        evaluate(minutes(minute))
    assert course(rule) == ["pending", "firing", "resolved", "ok"]
    with ADA.here(), transaction():
        found = list(AlertChange.objects.order_by("number").values_list("was", "value", "threshold", "at", "reason"))
    assert found == [
        ("ok", 11, 10, minutes(1), "evaluated"),
        ("pending", 12, 10, minutes(2), "evaluated"),
        ("firing", 4, 10, minutes(4), "evaluated"),
        ("resolved", 4, 10, minutes(5), "evaluated"),
    ]
    records = recorded("alert.pending", "alert.firing", "alert.resolved", "alert.ok")
    assert [record.action for record in records] == ["alert.pending", "alert.firing", "alert.resolved", "alert.ok"]
    assert {record.entity_type for record in records} == {"AlertChange"}
    assert records[1].after is not None
    assert (records[1].after["rule_id"], float(records[1].after["value"])) == (str(rule.pk), 12)


def test_an_evaluation_that_changes_nothing_leaves_no_record() -> None:
    make()
    figure(3)
    before = len(recorded("alert_rule.create", "update", "alert_rule.update", "create"))
    for minute in range(5):
        evaluate(minutes(minute))
    assert len(recorded("alert_rule.create", "update", "alert_rule.update", "create")) == before


def test_of_two_evaluations_at_once_each_change_is_there_once() -> None:
    told = provider()
    made = [make(name=f"Rule {number}", channels=[str(told.pk)]) for number in range(10)]
    for minute, value in enumerate((11, 3, 11, 3)):
        figure(value)
        at = minutes(minute)
        at_once(*[lambda at=at: evaluate(at) for _ in range(4)])
    for rule in made:
        assert course(rule) == ["firing", "resolved", "firing", "resolved"]
    assert len(notices()) == 40


def test_a_rule_that_is_changed_while_it_is_evaluated_loses_neither() -> None:
    rule = make()
    figure(11)

    def rename(number: int) -> None:
        with ADA.here(), transaction():
            rules.change(rule.pk, given={"severity": ("info", "critical")[number % 2]}, now=NOON)

    at_once(
        *[lambda minute=minute: evaluate(minutes(minute)) for minute in range(4)],
        *[lambda number=number: rename(number) for number in range(4)],
    )
    evaluate(minutes(9))
    assert course(rule) == ["firing"]
    assert again(rule).state == "firing"


def test_a_crash_anywhere_in_between_leaves_all_or_nothing() -> None:
    """The process dies after each statement in turn; what a next one finds is the rule as it was."""
    rule = make(channels=[str(provider().pk)])
    figure(11)
    died = 0
    while not course(rule):
        calls = 0

        def dying(execute, sql, params, many, context, most=died):  # type: ignore[no-untyped-def]
            nonlocal calls
            calls += 1
            if calls > most:
                raise SystemExit("killed")
            return execute(sql, params, many, context)

        with contextlib.suppress(SystemExit), ADA.here(), connection.execute_wrapper(dying), transaction():
            evaluation.evaluate(now=minutes(died))
        with ADA.here(), transaction():
            there = AlertChange.objects.count()
            assert Message.objects.count() == AlertNotification.objects.count() == again(rule).changes == there
        died += 1
        assert died < 200
    assert died > 10
    assert course(rule) == ["firing"]
    assert len(notices()) == 1
    evaluate(minutes(died))
    assert course(rule) == ["firing"]


def test_a_figure_that_fails_is_no_data_and_keeps_none_of_the_others() -> None:
    broken = make(name="Broken")
    well = make(name="Well", metric="test_counted", window_seconds=60, threshold=30)
    figure(ValueError("c-17 has no e-mail"))
    found = evaluate()
    assert found.errors == (f"{FIGURE}: ValueError",)
    assert (course(broken), course(well)) == (["no_data"], ["firing"])
    with ADA.here(), transaction():
        assert AlertChange.objects.get(rule=broken).reason == history.METRIC_FAILED


def test_a_figure_that_breaks_its_transaction_or_takes_too_long_breaks_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(evaluation, "LONGEST_READ", timedelta(milliseconds=200))

    def sleep() -> float:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(20)")
        return 1.0

    def wrong() -> float:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")
        return 1.0

    rule, well = make(), make(name="Well", metric="test_counted", window_seconds=60, threshold=30)
    for value in (sleep, wrong):
        figure(value)
        assert evaluate().errors
        assert (again(rule).state, again(well).state) == ("no_data", "firing")


def test_out_of_time_a_figure_is_no_data_and_says_so() -> None:
    """So many slow figures of one tenant's do not keep the others' from being looked at."""
    rule = make()
    figure(1)
    with ADA.here(), transaction():
        found = evaluation.evaluate(now=NOON, budget=Budget(0))
    assert (found.errors, again(rule).state) == ((f"{FIGURE}: OutOfTime",), "no_data")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), None])
def test_what_is_no_number_is_no_data(value: float | None) -> None:
    rule = make(operator="ne")
    figure(value)
    evaluate()
    assert again(rule).state == "no_data"
    assert again(rule).value is None


def test_a_tenants_rules_see_its_own_figure_alone() -> None:
    mine, theirs = make(), make(MALLORY)
    figure(11)
    figure(3, GLOBEX)
    evaluate()
    evaluate(who=MALLORY)
    assert (again(mine).state, again(theirs, MALLORY).state) == ("firing", "ok")
    with MALLORY.here(), transaction():
        assert AlertRule.objects.count() == 1
        assert not AlertChange.objects.exists()


def test_a_rule_that_is_off_is_not_evaluated_and_its_alert_ends() -> None:
    rule = make()
    figure(11)
    evaluate()
    with ADA.here(), transaction():
        rules.change(rule.pk, given={"is_enabled": False}, now=minutes(1))
    evaluate(minutes(2))
    assert course(rule) == ["firing", "ok"]
    assert not again(rule).is_raised
    with ADA.here(), transaction():
        rules.change(rule.pk, given={"is_enabled": True}, now=minutes(3))
    evaluate(minutes(4))
    assert course(rule) == ["firing", "ok", "firing"]


def test_another_limit_counts_from_the_next_evaluation_on() -> None:
    rule = make(lasting_seconds=120)
    figure(50)
    evaluate()
    evaluate(minutes(1))
    with ADA.here(), transaction():
        rules.change(rule.pk, given={"threshold": 20}, now=minutes(1))
    for minute in (2, 3):
        evaluate(minutes(minute))
        assert again(rule).state == "pending"
    evaluate(minutes(4))
    assert again(rule).state == "firing"


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_a_window_and_a_cooldown_are_as_long_on_the_day_of_a_change_of_clocks(day: str) -> None:
    """Acme's clocks go from 2 to 3, or from 3 to 2, at 1 UTC."""
    rule = make(metric="test_counted", window_seconds=3600, operator="eq", threshold=3600, cooldown_seconds=3600)
    change = clock.at(f"{day}T01:00:00Z")
    for quarter in range(-8, 8):
        evaluate(change + timedelta(minutes=15 * quarter))
        assert again(rule).value == 3600
    assert course(rule) == ["firing"]


def test_after_downtime_a_pending_rule_has_been_crossed_for_as_long_as_it_was_watched() -> None:
    rule = make(lasting_seconds=300)
    figure(11)
    for minute in (0, 1, 2):
        evaluate(minutes(minute))
    for minute in (600, 601, 602):
        evaluate(minutes(minute))
        assert again(rule).state == "pending"
    evaluate(minutes(603))
    assert course(rule) == ["pending", "firing"]


def test_a_clock_that_is_set_back_neither_ends_nor_repeats_an_alert() -> None:
    rule = make(lasting_seconds=120, cooldown_seconds=120)
    figure(11)
    for minute in (0, 1, 2, -60, -59):
        evaluate(minutes(minute))
    assert course(rule) == ["pending", "firing"]
    figure(3)
    for minute in (-58, -57, -120, -119):
        evaluate(minutes(minute))
    assert course(rule) == ["pending", "firing", "resolved", "ok"]


def test_what_an_evaluation_moves_is_what_the_log_leaves_out() -> None:
    found = (Path(history.__file__).parent.parent / "migrations").glob("*.py")
    [stated] = [match for path in found for match in re.findall(r"STANDING = \(([^)]*)\)", path.read_text())]
    assert tuple(re.findall(r'"(\w+)"', stated)) == history.STANDING
