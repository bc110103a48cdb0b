"""A month goes whole when nobody has a reason to keep a row of it, with the records that a purge would have left."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, connection
from psycopg import errors

from audit import services as log
from audit.models import AuditRecord
from audit.verification.verify import verify
from compliance.models import Hold
from compliance.purging import months, purge
from compliance.retention import binding, policies
from cron import runner
from cron.models import Trigger
from customers.models import Interaction
from customers.partitions import ensure_months
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import InsideTransaction, transaction
from kaireon.tenancy.models import Tenant
from tests.cast import ACME, ADA, GLOBEX, MALLORY
from tests.compliance.months import (
    ALSO_IN_IT,
    IN_IT,
    JOB,
    NOT_PAST,
    PAST,
    dispositions,
    drop,
    drop_one,
    is_there,
    look,
)
from tests.compliance.rows import AGREED, NOW, count, customer, days_ago, end, hold, interactions, policy, traces

ASKED = "SELECT month_drop('{}', {}, {}, {}, gen_random_uuid(), false)"


@pytest.fixture
def everybody(db):
    """A customer of each tenant with rows in the month, which both have kept for long enough."""
    cast = {}
    for who, number in ((ADA, "c-1"), (MALLORY, "m-1")):
        cast[who] = customer(number, who=who)
        interactions(cast[who], IN_IT, ALSO_IN_IT, who=who)
        policy("interactions", PAST, who=who)
    return cast


def records(who, action):
    log.drain(who.tenant_id)
    with who.here(), transaction():
        return list(AuditRecord.objects.filter(action=action).order_by("seq"))


def test_it_goes_when_every_tenant_has_kept_it_long_enough(everybody):
    interactions(everybody[ADA], 1)
    traces(everybody[ADA], IN_IT)
    seen = look()
    assert seen["interactionHistory", "2025-11"].rows == {ACME: 2, GLOBEX: 2}
    assert seen["decisionTrace", "2025-11"].kept_by == "no_policy"
    assert not is_there()
    assert (count(Interaction), count(Interaction, who=MALLORY)) == (1, 0)
    # The others stay as they are, and their walls too.
    assert is_there("customers_interaction_2026_01")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_index WHERE indrelid = 'public.customers_interaction'::regclass AND indisvalid"
        )
        assert cursor.fetchone()[0] >= 3


def test_it_leaves_the_records_of_a_purge_in_each_tenants_log(everybody):
    with ADA.here(), transaction():
        binding.switch(name="dpdp-2025", on=True, actor=ADA.actor, now=NOW)
    drop()
    for who in (ADA, MALLORY):
        (gone,) = dispositions(who)
        assert (gone.data_class, gone.entity, gone.method, gone.rows) == (
            "interactions",
            "interactionHistory",
            "dropped",
            2,
        )
        assert (gone.clock, gone.clock_from, gone.clock_until) == (
            "occurred_at",
            days_ago(IN_IT),
            days_ago(ALSO_IN_IT),
        )
        assert (gone.retention_days, gone.policy_version, gone.law, gone.plan) == (PAST, 1, "", None)
        assert (gone.done_by, gone.done_by_name, gone.approved_by) == (JOB.id, JOB.name, "")
        (captured,) = [r for r in records(who, "delete") if r.entity_type == "Interaction"]
        assert captured.changes["table"] == "customers_interaction"
        assert captured.changes["count"] == 2
        (purged,) = records(who, purge.VERB)
        assert (purged.changes["deleted"], purged.changes["total"]) == ({"interactionHistory": 2}, 2)
        assert (purged.changes["path"], purged.changes["month"]) == ("whole month", "2025-11")
        assert purged.changes["run"] == str(gone.run)
        assert (purged.user_name, purged.actor_type) == ("cleanup", "job")
        with who.here(), transaction():
            assert verify().intact


def test_its_record_of_the_rows_is_the_one_that_deleting_them_leaves(db):
    ours, theirs = customer(), customer("m-1", who=MALLORY)
    interactions(ours, IN_IT, ALSO_IN_IT)
    policy("interactions", PAST)
    drop()
    interactions(theirs, IN_IT, ALSO_IN_IT, who=MALLORY)
    policy("interactions", PAST, who=MALLORY)
    with MALLORY.here():
        purge.purge_expired(now=NOW, actor=JOB)

    def told(who):
        (record,) = [r for r in records(who, "delete") if r.entity_type == "Interaction"]
        return record.entity_id, record.entity_name, record.changes, record.before, record.after, record.actor_type

    assert told(ADA) == told(MALLORY)
    whole, by_rows = (dispositions(who)[0] for who in (ADA, MALLORY))
    same = ("data_class", "entity", "rows", "clock", "clock_from", "clock_until", "retention_days", "law", "done_by")
    assert [getattr(whole, name) for name in same] == [getattr(by_rows, name) for name in same]


def another_anchor(theirs):
    with MALLORY.here(), transaction():
        policies.upsert_policy(
            data_class="interactions", retention_days=PAST, anchor="created_at", actor=MALLORY.actor, now=NOW
        )


def class_hold(theirs):
    policy("interactions", PAST, hold=True, who=MALLORY)


def longer(theirs):
    policy("interactions", NOT_PAST, who=MALLORY)


def subject_hold(theirs):
    hold(theirs, who=MALLORY)


def range_hold(theirs):
    hold(who=MALLORY, from_at=days_ago(ALSO_IN_IT), until_at=days_ago(ALSO_IN_IT))


def query_hold(theirs):
    asked = [{"field": "kind", "op": "eq", "value": "visit"}]
    hold(who=MALLORY, entity="interactionHistory", query=asked)


def class_scope_hold(theirs):
    hold(who=MALLORY, data_class="interactions")


def releasing_hold(theirs):
    placed = hold(theirs, who=MALLORY)
    with MALLORY.here(), transaction():
        Hold.objects.filter(pk=placed.pk).update(**AGREED, releases_at=days_ago(-1))


def request_pause(theirs):
    hold(theirs, who=MALLORY, kind="request")


def suspended(theirs):
    with MALLORY.here(), transaction():
        Tenant.objects.filter(pk=GLOBEX).update(is_active=False)


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (longer, "period"),
        (another_anchor, "anchor"),
        (class_hold, "class_hold"),
        (class_scope_hold, "hold"),
        (subject_hold, "hold"),
        (range_hold, "hold"),
        (query_hold, "hold"),
        (releasing_hold, "hold"),
        (request_pause, "hold"),
        (suspended, "suspended"),
    ],
)
def test_one_reason_of_one_tenant_keeps_it(everybody, reason, said):
    reason(everybody[MALLORY])
    assert drop().kept_by == said
    assert is_there()
    assert (count(Interaction), dispositions()) == (2, [])
    # Tenant by tenant and row by row, what may go goes all the same.
    with ADA.here():
        assert purge.purge_expired(now=NOW, actor=JOB).deleted["interactionHistory"] == 2


def test_a_tenant_without_a_policy_keeps_it(everybody):
    for who in (ADA, MALLORY):
        traces(everybody[who], IN_IT, who=who)
    policy("decisions", PAST)
    assert look()["decisionTrace", "2025-11"].kept_by == "no_policy"


@pytest.mark.parametrize(
    "scope",
    [
        {"data_class": "decisions"},
        {"entity": "decisionTrace"},
        {"from_at": days_ago(44)},
        {"until_at": days_ago(IN_IT + 1)},
        {"entity": "interactionHistory", "query": [{"field": "kind", "op": "eq", "value": "purchase"}]},
    ],
)
def test_a_hold_on_something_else_does_not(everybody, scope):
    hold(who=MALLORY, **scope)
    end(hold(everybody[MALLORY], who=MALLORY), who=MALLORY)
    assert drop().kept_by == ""
    assert not is_there()


def test_a_hold_of_another_tenants_customer_does_not(everybody):
    hold(everybody[MALLORY], who=ADA)
    assert drop().kept_by == ""


def test_a_shortening_keeps_it_until_it_counts(everybody):
    policy("interactions", 99)
    policy("interactions", 10)
    assert drop().kept_by == "period"
    assert drop(NOW + timedelta(hours=24, microseconds=-1)).kept_by == "period"
    assert drop(NOW + timedelta(hours=24)).kept_by == ""
    (gone,) = dispositions()
    assert (gone.retention_days, gone.policy_version) == (10, 3)


def test_a_law_that_binds_keeps_it_and_is_named_when_it_goes(db, monkeypatch):
    law = {"law": "dpdp-2025", "days": NOT_PAST, "citation": "rule 8(3)", "starts": clock.rfc3339(days_ago(1))}
    interactions(customer(), IN_IT)
    policy("interactions", 10)
    with ADA.here(), transaction():
        binding.switch(name="dpdp-2025", on=True, actor=ADA.actor, now=NOW)
    monkeypatch.setattr(months, "floors", lambda _: [law])
    assert drop().kept_by == "period"
    law["days"] = PAST
    assert drop().kept_by == ""
    (gone,) = dispositions()
    assert (gone.retention_days, gone.policy_version, gone.law) == (PAST, 1, "rule 8(3)")


@pytest.mark.parametrize(
    "law",
    [
        {"starts": "2099-01-01T00:00:00Z"},
        {"law": "tax-6-years"},
    ],
)
def test_a_law_that_does_not_bind_yet_or_not_at_all_keeps_nothing(db, monkeypatch, law):
    interactions(customer(), IN_IT)
    policy("interactions", 10)
    with ADA.here(), transaction():
        binding.switch(name="dpdp-2025", on=True, actor=ADA.actor, now=NOW)
    floor = {"law": "dpdp-2025", "days": 3650, "citation": "c", "starts": None, **law}
    monkeypatch.setattr(months, "floors", lambda _: [floor])
    assert drop().kept_by == ""


def test_what_laws_ask_is_said_for_each_class_in_full():
    (said,) = [f for f in months.floors("interactions") if f["law"] == "dpdp-2025"]
    assert (said["days"], said["starts"]) == (366, "2027-05-13T00:00:00.000000Z")
    assert months.floors("nothing") == []


def test_a_law_that_binds_no_more_does_until_the_end_of_its_cooling_off(db, monkeypatch):
    interactions(customer(), IN_IT)
    policy("interactions", 10)
    with ADA.here(), transaction():
        binding.switch(name="dpdp-2025", on=True, actor=ADA.actor, now=NOW)
        binding.switch(name="dpdp-2025", on=False, actor=ADA.actor, now=NOW)
    monkeypatch.setattr(months, "floors", lambda _: [{"law": "dpdp-2025", "days": 99, "citation": "c", "starts": None}])
    assert drop().kept_by == "period"
    assert drop(NOW + timedelta(hours=25)).kept_by == ""


def test_a_clock_that_runs_ahead_makes_nothing_due(db):
    who, today = customer(), clock.now()
    interactions(who, 0)
    with ADA.here(), transaction():
        ensure_months("customers_interaction", [today])
        Interaction.objects.create(customer=who, kind="visit", occurred_at=today, external_id="today")
    policy("interactions", 1)
    seen = look(today + timedelta(days=400))
    assert {m.kept_by for (entity, name), m in seen.items() if name == f"{today:%Y-%m}"} == {"period"}


def test_the_edge_of_the_month_is_the_edge_of_the_period(everybody):
    ends = clock.at("2025-12-01T00:00:00+00:00")
    policy("interactions", PAST, who=MALLORY)
    assert drop_one(ends + timedelta(days=PAST, microseconds=-1)).kept_by == "period"
    assert drop_one(ends + timedelta(days=PAST)).kept_by == ""


def test_an_empty_month_goes_and_this_one_and_those_to_come_stay(db):
    with ADA.here(), transaction():
        ensure_months("customers_interaction", [days_ago(40), NOW, days_ago(-40)])
    seen = look()
    assert seen["interactionHistory", "2025-12"].rows == {}
    assert not is_there("customers_interaction_2025_12")
    assert ("interactionHistory", "2026-01") not in seen
    assert is_there("customers_interaction_2026_01")
    assert is_there("customers_interaction_2026_02")
    assert drop_one().kept_by == "missing"
    assert dispositions() == []


def test_a_dry_run_tells_and_changes_nothing(everybody):
    assert drop(dry_run=True).rows == {ACME: 2, GLOBEX: 2}
    assert (is_there(), count(Interaction)) == (True, 2)
    assert (dispositions(), records(ADA, purge.VERB), records(ADA, "delete")) == ([], [], [])
    assert drop().rows == {ACME: 2, GLOBEX: 2}


def test_the_nightly_job_does_it_first_and_counts_no_row_twice(everybody):
    interactions(everybody[ADA], 46, 45.1)
    with clock.freeze(NOW):
        dry = runner.run_job("cleanup", trigger=Trigger.COMMAND, dry_run=True).body
        body = runner.run_job("cleanup", trigger=Trigger.COMMAND).body
    gone = {"entity": "interactionHistory", "month": "2025-11", "rows": 5, "tenants": {ACME: 3, GLOBEX: 2}}
    assert body["ok"], body
    assert body["monthsDropped"] == [gone]
    assert dry["monthsDropped"] == [gone]
    for said in (dry, body):
        assert [entry["deleted"]["interactionHistory"] for entry in said["perTenant"]] == [1, 0]


def test_it_looks_while_there_is_time_and_outside_any_transaction(everybody):
    assert look(budget=Budget(0)) == {}
    with ADA.here(), transaction(), pytest.raises(InsideTransaction):
        look()
    assert is_there()


def test_a_row_that_comes_later_makes_a_new_partition_under_the_same_guard(everybody):
    drop()
    interactions(everybody[ADA], IN_IT)
    assert (is_there(), count(Interaction)) == (True, 1)
    held = hold(everybody[ADA])
    assert drop().kept_by == "hold"
    end(held)
    assert drop().rows == {ACME: 1}
    assert [d.rows for d in dispositions()] == [2, 1]


REFUSED = [
    ("DROP TABLE customers_interaction_2025_11", errors.InsufficientPrivilege),
    ("ALTER TABLE customers_interaction DETACH PARTITION customers_interaction_2025_11", errors.InsufficientPrivilege),
    ("TRUNCATE customers_interaction_2025_11", errors.InsufficientPrivilege),
    (
        "SELECT month_look('customers_interaction_2025_11', '{}', '[]', now(), now(), false)",
        errors.InsufficientPrivilege,
    ),
    (
        "SELECT month_record('{}', '', '', now()::date, gen_random_uuid(), 1, now(), now(), 1, 1, '')",
        errors.InsufficientPrivilege,
    ),
    ("SELECT * FROM month_tenants()", errors.InsufficientPrivilege),
    ("SELECT audit_dropped('Interaction', 'customers_interaction', 1, now(), now())", errors.InsufficientPrivilege),
    (ASKED.format("compliance_hold", "'2025-11-01'", "'[]'", "now()"), errors.WrongObjectType),
    (ASKED.format("customers_interaction_2025_11", "'2025-11-01'", "'[]'", "now()"), errors.WrongObjectType),
    (ASKED.format("customers_interaction", "NULL", "'[]'", "now()"), errors.NullValueNotAllowed),
    (ASKED.format("customers_interaction", "'2025-11-01'", "NULL", "now()"), errors.NullValueNotAllowed),
    (ASKED.format("customers_interaction", "'2025-11-01'", "'{}'", "now()"), errors.NullValueNotAllowed),
    (ASKED.format("customers_interaction", "'2025-11-01'", "'[]'", "NULL"), errors.NullValueNotAllowed),
]


@pytest.mark.parametrize(("statement", "refusal"), REFUSED)
def test_the_application_drops_no_month_in_any_other_way(everybody, statement, refusal):
    with ADA.here(), pytest.raises(DatabaseError) as refused, transaction(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert isinstance(refused.value.__cause__, refusal)
    assert is_there()


def test_what_the_application_asks_by_hand_is_judged_as_ever(everybody):
    hold(everybody[MALLORY], who=MALLORY)
    with ADA.here(), transaction(), connection.cursor() as cursor:
        cursor.execute(ASKED.format("customers_interaction", "'2025-11-01'", "'[]'", "'2099-01-01'"))
        assert cursor.fetchone() == ('{"keptBy": "hold"}',)
        # And who asked sees their own tenant still.
        cursor.execute("SELECT current_setting('app.tenant_id')")
        assert cursor.fetchone() == (ACME,)
    assert is_there()


def test_without_somebody_who_acts_nothing_goes(everybody):
    with connection.cursor() as cursor, pytest.raises(DatabaseError, match="needs an actor"):
        cursor.execute(ASKED.format("customers_interaction", "'2025-11-01'", "'[]'", "'2026-01-15 12:00Z'"))
    assert is_there()
