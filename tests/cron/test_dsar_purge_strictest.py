"""The job `dsar-purge` where the shortest period counts for all three classes, and whatever keeps a row beats it."""

from collections import Counter
from datetime import timedelta

import pytest

from compliance.models import Disposition
from compliance.purging import applying, batches, plans, purge
from compliance.purging.refusals import PlanRefused
from compliance.retention import binding, policies
from customers.catalogue import DSAR_PURGE
from customers.models import Attachment, DecisionTrace, Interaction
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import transaction
from tests.cast import ADA
from tests.compliance.rows import NOW, customer, hold, interactions, policy, traces
from tests.cron.purged import _noon, entry, left, rows_of_all_ages, run  # noqa: F401


class TestStrictest:
    """The shortest period counts for all three, and whatever keeps a row beats it."""

    @pytest.fixture(autouse=True)
    def _rows(self, db, settings):
        settings.DSAR_PURGE_MODE = "strictest"
        self.of = rows_of_all_ages()
        policy("interactions", 365)
        policy("decisions", 90)

    def test_a_law_keeps_its_class(self):
        with ADA.here(), transaction():
            binding.switch(name="tax-6-years", on=True, actor=ADA.actor, now=NOW)
        run()
        assert left() == (1, 1, 4)

    def test_a_law_about_all_classes_makes_the_shortest_period_longer(self):
        with ADA.here(), transaction():
            binding.switch(name="dpdp-2025", on=True, actor=ADA.actor, now=NOW)
        then = clock.at("2027-06-01T12:00:00Z")
        with clock.freeze(then):
            for model, made in ((Interaction, interactions), (DecisionTrace, traces)):
                with ADA.here(), transaction():
                    model.objects.all().delete()
                made(customer(model.__name__), *((NOW - then).days + days for days in (364, 368)))
            body = run().body
        assert (entry(body)["retentionDays"], left()[:2]) == (366, (1, 1))

    def test_holds_of_people_and_open_requests_keep_their_rows(self):
        asked = rows_of_all_ages("c-2")
        hold(self.of)
        hold(asked, kind="request")
        rows_of_all_ages("c-3")
        run()
        with ADA.here(), transaction():
            for model in (Interaction, DecisionTrace, Attachment):
                kept = Counter(model.objects.values_list("customer__customer_id", flat=True))
                assert kept == {"c-1": 4, "c-2": 4, "c-3": 1}

    @pytest.mark.parametrize("kept_by", ["governance", "compliance"])
    def test_what_may_not_be_shortened_just_so_keeps_its_own_period(self, kept_by):
        with ADA.here(), transaction():
            policies.upsert_policy(
                data_class="interactions", retention_days=365, mode=kept_by, actor=ADA.actor, now=NOW
            )
        run()
        assert left() == (3, 1, 1)

    def test_a_shortening_that_cools_off_counts_for_nobody_yet(self, settings):
        settings.RETENTION_COOLING_OFF_HOURS = 24
        policy("metrics", 365)
        policy("metrics", 1)
        body = run().body
        assert (entry(body)["retentionDays"], left()) == (90, (1, 1, 1))
        with clock.freeze(NOW + timedelta(days=1, minutes=1)):
            body = run().body
        assert (entry(body)["retentionDays"], left()) == (1, (0, 0, 0))

    def test_a_held_class_gives_no_period_and_keeps_its_rows(self):
        policy("decisions", 90, hold=True)
        body = run().body
        assert (entry(body)["retentionDays"], left()) == (365, (3, 4, 3))

    def test_a_matter_that_holds_a_whole_class_does_the_same(self):
        hold(data_class="decisions")
        body = run().body
        assert (entry(body)["retentionDays"], left()) == (365, (3, 4, 3))

    def test_a_matter_that_holds_everything_leaves_no_period(self):
        hold()
        body = run().body
        assert (entry(body)["retentionDays"], left()) == (0, (4, 4, 4))

    def test_a_hold_on_the_shortest_class_counts_from_the_next_batch_on(self, monkeypatch):
        plain, seen = batches.Batches.with_retries, []

        def then_hold(*args, **kwargs):
            done = plain(*args, **kwargs)
            if not seen:
                seen.append(left())
                policy("decisions", 90, hold=True)
            return done

        monkeypatch.setattr(batches.Batches, "with_retries", then_hold)
        with ADA.here():
            purge.purge_expired(now=NOW, actor=ADA.actor, swept_by=DSAR_PURGE, batch=1)
        # One interaction, the oldest, went by the 90 days; the rest by the 365 that are the shortest now.
        assert (seen, left()) == ([(3, 4, 4)], (3, 4, 3))

    def test_the_disposition_names_the_policy_it_went_by(self):
        run()
        with ADA.here(), transaction():
            said = {d.entity: (d.policy_class, d.policy_version, d.retention_days) for d in Disposition.objects.all()}
        assert said == {
            "interactionHistory": ("decisions", 1, 90),
            "decisionTrace": ("", 1, 90),
            "attachment": ("decisions", 1, 90),
        }

    def test_a_plan_of_this_job_says_and_does_the_same(self):
        with ADA.here():
            with transaction():
                plan = plans.make(actor=ADA.actor, now=NOW, swept_by=DSAR_PURGE)
                items = [plans.wire_item(item) for item in plans.items_of(plan)]
            assert {i["entity"]: (i["rows"], i["retentionDays"], i["policyClass"]) for i in items} == {
                "interactionHistory": (3, 90, "decisions"),
                "decisionTrace": (3, 90, "decisions"),
                "attachment": (3, 90, "decisions"),
            }
            applying.begin(plan_id=plan.pk, actor=ADA.actor, now=NOW)
            assert applying.go_on(plan_id=plan.pk, now=NOW, budget=Budget(60)).rows == 9
        assert left() == (1, 1, 1)

    def test_a_plan_is_refused_when_each_class_goes_by_its_own_again(self, settings):
        with ADA.here():
            with transaction():
                plan = plans.make(actor=ADA.actor, now=NOW, swept_by=DSAR_PURGE)
            settings.DSAR_PURGE_MODE = "per_class"
            with pytest.raises(PlanRefused) as caught:
                applying.begin(plan_id=plan.pk, actor=ADA.actor, now=NOW)
        assert caught.value.code == "policy_changed"
        assert left() == (4, 4, 4)

    def test_cleanup_and_its_plans_go_by_each_class(self):
        with ADA.here(), transaction():
            assert plans.make(actor=ADA.actor, now=NOW).rows == 4
        run("cleanup")
        assert left() == (3, 1, 4)
