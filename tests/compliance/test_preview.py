"""What a decision would delete: said before it is made, and true to the row when it counts."""

import json
from dataclasses import replace
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from compliance.models import Mode, PolicyVersion
from compliance.purging.preview import preview
from compliance.purging.purge import purge_expired
from compliance.retention import binding, policies
from customers.models import IdentityLink, Interaction
from dsar.requests import retention as requests
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.caller import error_of, with_key
from tests.cast import ACME
from tests.compliance.precedence import oracle
from tests.compliance.precedence.cases import MOMENTS, Maker
from tests.compliance.precedence.worlds import OFFICER, TABLES, left, tenant_with
from tests.compliance.rows import ADA, GLOBEX, MALLORY, NOW, customer, days_ago, hold, interactions, policy

DAY = timedelta(days=1)
URL = "/admin/retention-configs/preview"


def look(data_class, days, *, who=ADA, now=NOW, **more):
    with who.here(), transaction():
        return preview(data_class=data_class, retention_days=days, now=now, **more)


def loss(data_class, days, entity, **more):
    found = {loss.entity: loss for loss in look(data_class, days, **more).losses}[entity]
    return found.rows, found.anyway, found.held


def test_it_says_how_many_rows_go_that_stay_today_and_from_when(db):
    interactions(customer(), 400, 200, 100, 30.5, 30, 29, 1)
    policy("interactions", 365)
    found = look("interactions", 30)
    assert (found.days_now, found.days, found.shortens, found.counts_from) == (365, 30, True, NOW + DAY)
    (history, journeys) = found.losses
    # The one of 400 days goes today; at the edge itself a row stays, and the one of 29 days reaches it.
    assert (history.entity, history.rows, history.anyway, history.held) == ("interactionHistory", 4, 0, 0)
    assert (history.oldest, history.newest, history.before) == (days_ago(200), days_ago(30), days_ago(29))
    assert (journeys.entity, journeys.rows, journeys.oldest) == ("journeyEnrollment", 0, None)
    assert found.rows == 4


def test_what_goes_by_then_without_it_is_told_apart(db):
    interactions(customer(), 364.5, 200, 10)
    policy("interactions", 365)
    assert loss("interactions", 30, "interactionHistory") == (2, 1, 0)


def test_what_is_held_stays_and_is_told(db):
    first, second = customer("c-1"), customer("c-2")
    interactions(first, 200, 100)
    interactions(second, 200)
    policy("interactions", 365)
    hold(first, entity="interactionHistory")
    assert loss("interactions", 30, "interactionHistory") == (1, 0, 2)
    policy("interactions", 365, hold=True)
    found = look("interactions", 30)
    assert (found.class_held, found.rows, found.held) == (True, 0, 3)


def test_a_lengthening_and_a_first_policy_count_at_once(db):
    interactions(customer(), 200, 100, 10)
    first = look("interactions", 150)
    assert (first.days_now, first.counts_from, first.rows, first.shortens) == (None, NOW, 1, False)
    policy("interactions", 150)
    longer = look("interactions", 400)
    assert (longer.counts_from, longer.rows) == (NOW, 0)


def test_profiles_and_their_links_go_together_and_what_is_referred_to_stays(db):
    old = days_ago(200)
    free, used = customer("c-1", active=old), customer("c-2", active=old)
    interactions(used, 200)
    with ADA.here(), transaction():
        for who in (free, used):
            IdentityLink.objects.create(customer=who, kind="device", value=who.customer_id, last_seen_at=old)
    policy("profiles", 365)
    assert {loss.entity: loss.rows for loss in look("profiles", 30).losses} == {"identityLink": 2, "customer": 1}
    policy("interactions", 100)
    # What refers to the second goes in the same purge by its own class.
    assert {loss.entity: loss.rows for loss in look("profiles", 30).losses} == {"identityLink": 2, "customer": 2}


def test_it_names_the_floor_and_the_law_to_come(db):
    policy("deliveries", 400)
    with ADA.here(), transaction():
        binding.switch(name="dpdp-2025", on=True, actor=ADA.actor, now=NOW)
    early = look("deliveries", 30)
    assert (early.floor, early.floor_later.citation, early.days) == (None, "DPDP Rules 2025, rule 8(3)", 30)
    with pytest.raises(policies.BelowFloor, match="at least 366: DPDP"):
        look("deliveries", 30, effective_from=MOMENTS[-1])
    assert look("deliveries", 380, effective_from=MOMENTS[-1]).floor.days == 366
    assert look("audit", 30).days == 365
    assert look("audit", 30).floor.citation == "PCI DSS 10.5.1"


@pytest.mark.parametrize(("mode", "second"), [(Mode.NORMAL, False), (Mode.GOVERNANCE, True)])
def test_it_says_whether_a_second_person_must_agree(db, mode, second):
    with ADA.here(), transaction():
        policies.upsert_policy(data_class="metrics", retention_days=90, mode=mode, actor=ADA.actor, now=NOW)
    assert look("metrics", 30).needs_second_person == second
    assert not look("metrics", 100).needs_second_person


def test_it_decides_and_deletes_nothing(db):
    interactions(customer(), 200)
    policy("interactions", 365)
    look("interactions", 30)
    with ADA.here(), transaction():
        assert (PolicyVersion.objects.count(), Interaction.objects.count()) == (1, 1)


def test_of_another_tenants_rows_it_knows_nothing(db):
    interactions(customer(), 200)
    policy("interactions", 365)
    found = look("interactions", 30, who=MALLORY)
    assert (found.days_now, found.rows, MALLORY.tenant_id) == (None, 0, GLOBEX)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(2))
def test_a_purge_takes_what_was_said(db, number, settings):
    settings.RETENTION_COOLING_OFF_HOURS = oracle.COOLING_OFF // timedelta(hours=1)
    maker = Maker(seed=f"preview {number}a", now=MOMENTS[number], rows_in_it=260, people_in_it=12)
    world = maker.make()
    # Their end would free rows in between; until then they hold.
    world = replace(world, holds=tuple(h for h in world.holds if h.state != "releasing"))
    seen = 0
    with tenant_with(world, f"preview-{number}", packs=maker.packs):
        now = world.now
        purge(now)
        for data_class in ("interactions", "metrics", "consents", "dsar", "jobs", "profiles"):
            with transaction():
                try:
                    said = preview(data_class=data_class, retention_days=2, now=now)
                except policies.BelowFloor:
                    continue
                before = here(data_class)
                policies.upsert_policy(data_class=data_class, retention_days=2, actor=OFFICER, now=now)
            now = max(now, said.counts_from)
            purge(now)
            with transaction():
                after = here(data_class)
            for lost in said.losses:
                assert before[lost.entity] - after[lost.entity] == lost.rows, (data_class, lost)
            seen += said.rows
    assert seen > 5


def purge(now):
    for _ in (1, 2):
        assert purge_expired(now=now, actor=OFFICER).errors == []
        with transaction():
            requests.shred_expired(now=now)


def here(data_class):
    """By entity. Of rows of several classes those of this one: others may have come to their end meanwhile."""
    rows = {name: model.objects.filter(pk__in=left()) for name, (model, _) in TABLES.items()}
    rows["dynamicSchemaRows"] = rows["dynamicSchemaRows"].filter(schema__data_class=data_class)
    return {name: found.count() for name, found in rows.items()}


def test_it_is_asked_over_http(db):
    interactions(customer(), 200, 10)
    policy("interactions", 365)
    ada = with_key("ada")
    with clock.freeze(NOW):
        answer = ada.post(URL, {"dataClass": "interactions", "retentionDays": 30})
        assert answer.status_code == 200
        said = answer.json()
        assert (said["rows"], said["heldRows"], said["daysNow"], said["effectiveDays"]) == (1, 0, 365, 30)
        assert said["countsFrom"] == clock.rfc3339(NOW + DAY)
        assert said["entities"][0]["oldest"] == clock.rfc3339(days_ago(200))


@pytest.mark.parametrize(
    ("given", "field"),
    [
        *(({"dataClass": "interactions", "retentionDays": d}, "retentionDays") for d in (0, -1, 36501, "365", 1.5)),
        *(({"dataClass": "interactions", "retentionDays": d}, "retentionDays") for d in (True, None)),
        ({"dataClass": "nonsense", "retentionDays": 5}, "dataClass"),
        ({"retentionDays": 5}, "dataClass"),
        ({"dataClass": "interactions"}, "retentionDays"),
        ({"dataClass": "interactions", "retentionDays": 5, "effectiveFrom": "2001-01-01T00:00:00Z"}, "effectiveFrom"),
        ({"dataClass": "interactions", "retentionDays": 5, "days": 5}, "days"),
    ],
)
def test_what_is_none_is_refused_by_its_field(db, given, field):
    answer = with_key("ada").post(URL, given)
    assert answer.status_code == 400
    assert error_of(answer)["message"].startswith(f"{field}: ")


def test_a_floor_and_a_mode_refuse_as_the_decision_would(db):
    with ADA.here(), transaction():
        binding.switch(name="ccpa-regulations", on=True, actor=ADA.actor, now=NOW)
        policies.upsert_policy(
            data_class="metrics", retention_days=90, mode=Mode.COMPLIANCE, actor=ADA.actor, now=clock.now()
        )
    ada = with_key("ada")
    floor = error_of(ada.post(URL, {"dataClass": "dsar", "retentionDays": 30}))
    assert (floor["code"], "§ 7101(a)" in floor["message"]) == ("below_floor", True)
    mode = error_of(ada.post(URL, {"dataClass": "metrics", "retentionDays": 30}))
    assert mode["code"] == "may_only_lengthen"


def test_the_command_says_the_same(db):
    interactions(customer(), 200, 10)
    policy("interactions", 365)
    out = StringIO()
    with clock.freeze(NOW):
        args = ("retention_preview", "--tenant", ACME, "--data-class", "interactions", "--days", "30")
        call_command(*args, stdout=out)
        assert "1 rows would go that stay today" in out.getvalue()
        assert "1  interactionHistory  occurred_at" in out.getvalue()
        out = StringIO()
        call_command(*args, "--json", stdout=out)
        assert json.loads(out.getvalue())["rows"] == 1
    for wrong in (["--data-class", "nonsense", "--days", "3"], ["--data-class", "interactions", "--days", "0"]):
        with pytest.raises(CommandError, match=wrong[1] if wrong[1] == "nonsense" else "--days 0"):
            call_command("retention_preview", "--tenant", ACME, *wrong)
