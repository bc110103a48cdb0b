"""What a hold with a scope covers is left by retention; the rest goes, each row by its own reasons."""

from datetime import timedelta

from compliance.holding import pauses
from compliance.purging import purge
from customers import suppressions
from customers.models import Attachment, Customer, DecisionTrace, Interaction, SuppressionTombstone
from dsar.requests import retention
from dsar.requests.services import create_request
from kaireon.jobs import runner
from kaireon.tenancy.context import transaction
from tests.compliance.rows import ADA, NOW, count, customer, days_ago, end, hold, interactions, policy, traces


def run(**how):
    with ADA.here():
        return purge.purge_expired(now=NOW, actor=ADA.actor, **how)


def left(model=Interaction):
    with ADA.here(), transaction():
        return {row.customer.customer_id for row in model.objects.select_related("customer")}


def test_a_purge_leaves_the_held_and_takes_the_others(db):
    ann, bo = customer("ann", active=days_ago(90)), customer("bo", active=days_ago(90))
    for who in (ann, bo):
        interactions(who, 40, 50, 60)
        traces(who, 40)
    policy("interactions", 30)
    policy("decisions", 30)
    policy("profiles", 30)
    placed = hold(ann, data_class="interactions")
    dry = run(dry_run=True)
    assert (dry.deleted["interactionHistory"], dry.held_rows["interactionHistory"]) == (3, 3)
    done = run(batch=2)
    assert (done.deleted["interactionHistory"], done.deleted["decisionTrace"], done.errors) == (3, 2, [])
    assert (left(), count(DecisionTrace)) == ({"ann"}, 0)
    # A profile that held rows refer to stays with them.
    with ADA.here(), transaction():
        assert Customer.objects.get().customer_id == "ann"
    end(placed)
    assert run().deleted["interactionHistory"] == 3
    assert run().deleted["customer"] == 0
    assert (count(Interaction), count(Customer)) == (0, 0)


def test_each_row_by_the_time_and_the_query_of_its_holds(db):
    ann = customer("ann")
    interactions(ann, 40, 50, 60, 70)
    policy("interactions", 30)
    hold(from_at=days_ago(50), until_at=days_ago(50))
    hold(entity="interactionHistory", until_at=days_ago(65), query=[{"field": "kind", "op": "eq", "value": "visit"}])
    assert run().deleted["interactionHistory"] == 2
    with ADA.here(), transaction():
        assert {row.occurred_at for row in Interaction.objects.all()} == {days_ago(50), days_ago(70)}


def test_an_open_request_pauses_retention_for_its_subject(db):
    ann, bo = customer("ann"), customer("bo")
    for who in (ann, bo):
        interactions(who, 40)
    policy("interactions", 30)
    placed = hold(ann, kind="request")
    assert run().deleted["interactionHistory"] == 1
    assert left() == {"ann"}
    end(placed)
    assert run().deleted["interactionHistory"] == 1


def test_objects_of_held_attachments_stay(db):
    ann, bo = customer("ann"), customer("bo")
    with ADA.here(), transaction():
        for who in (ann, bo):
            Attachment.objects.create(customer=who, name="a", file=f"a/{who.customer_id}", uploaded_at=days_ago(90))
    policy("attachments", 30)
    hold(ann)
    done = run()
    assert (done.deleted["attachment"], done.objects.attempted) == (1, 1)
    assert left(Attachment) == {"ann"}


def test_tombstones_of_suppressions_stay_while_consents_are_held_in_part(db):
    ann = customer("ann")
    with ADA.here(), transaction():
        suppressions.suppress(ann, now=days_ago(50), expires_at=days_ago(10))
        suppressions.leave_tombstones(ann, now=days_ago(20))
    kept = count(SuppressionTombstone)
    assert kept
    placed = hold(data_class="consents", until_at=days_ago(5))
    run()
    assert count(SuppressionTombstone) == kept
    end(placed)
    run()
    assert count(SuppressionTombstone) == 0


def test_requests_of_held_subjects_stay_readable(db):
    ann, bo = customer("ann"), customer("bo")
    with ADA.here(), transaction():
        for who in (ann, bo):
            request = create_request(
                request_type="export", subject_id=who.customer_id, actor=ADA.actor, now=days_ago(90)
            ).request
            request.move_to("completed")
            request.closed_at = days_ago(80)
            request.save()
            pauses.resume_retention(request_id=request.pk, now=days_ago(80))
    policy("dsar", 30)
    hold(ann, data_class="dsar")
    with ADA.here(), transaction():
        assert retention.shred_expired(now=NOW + timedelta(seconds=1)) == 1


def test_a_request_pauses_retention_from_when_it_opens_until_it_is_answered(db):
    ann, bo = customer("ann"), customer("bo")
    for who in (ann, bo):
        interactions(who, 40)
    policy("interactions", 30)
    with ADA.here():
        with transaction():
            filed = create_request(request_type="export", subject_id="ann", actor=ADA.actor, now=NOW)
        assert run().deleted["interactionHistory"] == 1
        assert left() == {"ann"}
        runner.run(job_id=filed.job.pk)
        assert run().deleted["interactionHistory"] == 1
