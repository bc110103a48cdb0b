"""Law packs: floors that policies do not go below, and what does not fit."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings
from rest_framework.test import APIClient

from audit import services as records
from audit.models import AuditRecord
from compliance.models import BindingLaw
from compliance.purging import purge
from compliance.retention import binding, laws, policies
from compliance.retention.conflicts import conflicts
from compliance.retention.in_force import in_force
from customers import suppressions
from customers.catalogue import DATA_CLASSES
from customers.models import Interaction, Suppression
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.cast import KEYS
from tests.compliance.rows import ADA, MALLORY, NOW, count, customer, interactions

DAY = timedelta(days=1)
STARTS = laws.DPDP_STARTS
URL = "/api/v1/admin"


def switch(name, *, on=True, now=NOW, who=ADA):
    with who.here(), transaction():
        return binding.switch(name=name, on=on, actor=who.actor, now=now)


def decide(data_class, days, *, now=NOW, who=ADA, **more):
    with who.here(), transaction():
        return policies.upsert_policy(data_class=data_class, retention_days=days, actor=who.actor, now=now, **more)


def counts(data_class, now=NOW, who=ADA):
    with who.here(), transaction():
        return in_force(data_class, now)


def clashes(now=NOW):
    with ADA.here(), transaction():
        return [(str(c.kind), c.data_class, c.bound.law, c.days) for c in conflicts(now)]


def test_the_packs_are_about_classes_there_are_and_name_their_source():
    assert len(laws.BY_NAME) == len(laws.LAWS)
    for law in laws.LAWS:
        for period in (*law.floors, *law.ceilings):
            assert set(period.data_classes) <= set(DATA_CLASSES), law.name
            assert period.citation
            assert 1 <= period.days <= 36500


@pytest.mark.parametrize(("years", "least"), [(1, 366), (2, 731)])
def test_so_many_days_are_never_less_than_the_years_they_stand_for(years, least):
    start = clock.at("2027-01-01T00:00:00Z")
    for offset in range(1461):
        day = start + offset * DAY
        month, date = (day.month, day.day) if (day.month, day.day) != (2, 29) else (3, 1)
        assert day + least * DAY >= day.replace(year=day.year + years, month=month, day=date)


def test_no_law_binds_until_a_tenant_says_so(db):
    decide("dsar", 30)
    assert counts("dsar").days == 30
    assert clashes() == []


def test_a_policy_below_a_floor_is_refused_with_its_citation(db):
    switch("ccpa-regulations")
    with pytest.raises(policies.BelowFloor, match=r"at least 731: Cal\. Code Regs\. tit\. 11, § 7101\(a\), records"):
        decide("dsar", 730)
    assert counts("dsar") is None
    decide("dsar", 731)
    with pytest.raises(policies.BelowFloor):
        decide("dsar", 100)
    assert counts("dsar").days == 731


def test_a_law_counts_for_policies_that_are_older(db):
    decide("dsar", 30)
    switch("ccpa-regulations")
    found = counts("dsar")
    assert (found.policy_days, found.days, found.law.citation) == (30, 731, "Cal. Code Regs. tit. 11, § 7101(a)")
    # What the policy says is still said, and a hold is placed on it.
    assert decide("dsar", 30, legal_hold=True).legal_hold


def test_a_law_counts_from_when_it_starts(db):
    switch("dpdp-2025")
    decide("interactions", 30)
    before, after = counts("interactions", STARTS - timedelta(microseconds=1)), counts("interactions", STARTS)
    assert (before.days, before.until, after.days, after.law.law) == (30, STARTS, 366, "dpdp-2025")
    assert ("below_floor", "interactions", "dpdp-2025", 30) in clashes()
    with pytest.raises(policies.BelowFloor, match=r"rule 8\(3\)"):
        decide("decisions", 365, now=STARTS)
    # So is what would count only then.
    with pytest.raises(policies.BelowFloor):
        decide("decisions", 365, effective_from=STARTS)


def test_of_two_floors_the_longer_counts(db):
    for name in ("tax-6-years", "tax-10-years"):
        switch(name)
    with pytest.raises(policies.BelowFloor, match="at least 4019"):
        decide("deliveries", 3000)


def test_a_purge_keeps_what_a_law_in_force_keeps(db):
    who = customer()
    moment = STARTS + 400 * DAY
    interactions(who, *((NOW - moment) / DAY + age for age in (365, 366.5)))
    decide("interactions", 30)
    switch("dpdp-2025")
    with ADA.here():
        assert purge.purge_expired(now=moment, actor=ADA.actor).deleted["interactionHistory"] == 1
    assert count(Interaction) == 1


def test_what_ends_without_a_policy_is_kept_by_a_law(db):
    who = customer()
    moment = STARTS + 400 * DAY
    with ADA.here(), transaction():
        suppressions.suppress(who, now=NOW, expires_at=moment - 365 * DAY)
    switch("dpdp-2025")
    for now, left in ((moment, 1), (moment + 2 * DAY, 0)):
        with ADA.here():
            purge.purge_expired(now=now, actor=ADA.actor)
        assert count(Suppression) == left


def test_a_law_that_no_longer_binds_does_so_to_the_end_of_the_cooling_off(db):
    decide("dsar", 30)
    switch("ccpa-regulations")
    switch("ccpa-regulations", on=False, now=NOW + DAY)
    found = counts("dsar", NOW + DAY)
    assert (found.days, found.until) == (731, NOW + 2 * DAY)
    # Said twice, it ends no later.
    assert switch("ccpa-regulations", on=False, now=NOW + 1.5 * DAY).until == NOW + 2 * DAY
    assert counts("dsar", NOW + 2 * DAY).days == 30
    switch("ccpa-regulations", now=NOW + 1.5 * DAY)
    assert counts("dsar", NOW + 3 * DAY).days == 731
    assert switch("tax-6-years", on=False) is None


def test_conflicts_between_laws_and_above_ceilings_are_listed(db, monkeypatch):
    decide("profiles", 2000)
    switch("dpdp-2025-third-schedule")
    assert clashes() == [("above_ceiling", "profiles", "dpdp-2025-third-schedule", 2000)]
    decide("profiles", 2000)
    strict = laws.Law(
        name="strict",
        title="Strict",
        floors=(laws.Period(data_classes=("profiles",), days=1500, citation="§ 1", says="five years or so"),),
    )
    monkeypatch.setattr(laws, "LAWS", (*laws.LAWS, strict))
    monkeypatch.setitem(laws.BY_NAME, "strict", strict)
    switch("strict")
    assert ("floor_above_ceiling", "profiles", "strict", 1500) in clashes()
    assert counts("profiles").days == 2000


def test_it_binds_one_tenant_alone(db):
    switch("ccpa-regulations")
    decide("dsar", 30, who=MALLORY)
    assert counts("dsar", who=MALLORY).days == 30
    with MALLORY.here(), transaction():
        assert not BindingLaw.objects.exists()


class TestHttp:
    @pytest.fixture
    def ada(self, db):
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {KEYS['ada']}")
        return client

    def test_laws_are_switched_and_listed(self, ada):
        listed = ada.get(f"{URL}/retention-laws").json()
        assert {law["name"]: law["binds"] for law in listed} == dict.fromkeys(laws.BY_NAME, False)
        said = ada.post(f"{URL}/retention-laws", {"name": "ccpa-regulations", "binds": True}, format="json").json()
        assert [law["name"] for law in said if law["binds"]] == ["ccpa-regulations"]
        assert said == ada.get(f"{URL}/retention-laws").json()
        records.drain("acme")
        with ADA.here(), transaction():
            [record] = AuditRecord.objects.filter(action=binding.VERB)
        assert (record.entity_type, record.entity_name) == ("BindingLaw", "ccpa-regulations")

    @pytest.mark.parametrize("body", [{"name": "no-such-law", "binds": True}, {"name": "ccpa-regulations", "binds": 1}])
    def test_what_is_wrong_is_named(self, ada, body):
        answer = ada.post(f"{URL}/retention-laws", body, format="json")
        assert answer.status_code == 400
        assert answer.json()["error"]["message"].startswith(("name: unknown law; known are dpdp-2025", "binds: "))

    def test_a_refusal_cites_the_law_and_is_recorded(self, ada):
        ada.post(f"{URL}/retention-laws", {"name": "ccpa-regulations", "binds": True}, format="json")
        answer = ada.post(f"{URL}/retention-configs", {"dataClass": "dsar", "retentionDays": 30}, format="json")
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert error["code"] == "below_floor"
        assert error["message"].startswith("retentionDays: must be at least 731: Cal. Code Regs. tit. 11, § 7101(a)")
        records.drain("acme")
        with ADA.here(), transaction():
            [record] = AuditRecord.objects.filter(action="retention_config.refused")
        assert (record.entity_id, record.changes) == (
            "dsar",
            {"reason": "below_floor", "field": "retentionDays", "retentionDays": 30},
        )

    def test_conflicts_and_floors_are_shown(self, ada):
        ada.post(f"{URL}/retention-configs", {"dataClass": "dsar", "retentionDays": 30}, format="json")
        ada.post(f"{URL}/retention-laws", {"name": "ccpa-regulations", "binds": True}, format="json")
        [row] = ada.get(f"{URL}/retention-configs").json()
        assert (row["retentionDays"], row["effectiveDays"], row["floor"]["days"]) == (30, 731, 731)
        [found] = ada.get(f"{URL}/retention-configs/conflicts").json()
        assert (found["kind"], found["dataClass"], found["lawDays"], found["days"]) == ("below_floor", "dsar", 731, 30)


def test_without_a_cooling_off_a_law_ends_at_once(db):
    switch("ccpa-regulations")
    with override_settings(RETENTION_COOLING_OFF_HOURS=0):
        switch("ccpa-regulations", on=False)
    decide("dsar", 30)
    assert counts("dsar").days == 30


class TestCommand:
    def run(self, *arguments):
        out = StringIO()
        call_command("retention", *arguments, "--tenant", "acme", stdout=out, no_color=True)
        return out.getvalue()

    def test_it_binds_lists_and_warns(self, db):
        decide("dsar", 30)
        assert "ccpa-regulations           binds" in self.run("laws", "--bind", "ccpa-regulations")
        assert "below_floor: 30 days, 731 by Cal. Code Regs." in self.run("conflicts")
        assert json.loads(self.run("conflicts", "--json"))[0]["law"] == "ccpa-regulations"
        assert "731 by Cal. Code Regs." in self.run()
        [ended] = [
            law for law in json.loads(self.run("laws", "--unbind", "ccpa-regulations", "--json")) if law["binds"]
        ]
        assert ended["bindsUntil"]

    def test_it_says_what_is_wrong(self, db):
        with pytest.raises(CommandError, match="unknown law"):
            self.run("laws", "--bind", "nonsense")
        with pytest.raises(CommandError, match="go with laws"):
            self.run("conflicts", "--bind", "ccpa-regulations")
