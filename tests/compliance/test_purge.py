"""Nothing too early, nothing too late, nothing that is held."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO

import psycopg
import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connections

from audit import services as log
from audit.models import AuditRecord
from compliance.models import Hold, HoldState
from compliance.purging import batches, purge
from customers import attachments, removals, suppressions
from customers.attachments import Upload
from customers.models import (
    Attachment,
    ConsentRecord,
    Customer,
    DecisionTrace,
    DynamicRow,
    DynamicSchema,
    IdentityLink,
    Interaction,
    ObjectRemoval,
    Suppression,
)
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import InsideTransaction, transaction
from tests.compliance.rows import (
    ADA,
    AGREED,
    MALLORY,
    NOW,
    count,
    customer,
    days_ago,
    end,
    hold,
    interactions,
    policy,
    traces,
)
from tests.live import wait_until


def run(who=ADA, **options):
    with who.here():
        return purge.purge_expired(now=NOW, actor=who.actor, **options)


def records(action=purge.VERB):
    log.drain("acme")
    with ADA.here(), transaction():
        return list(AuditRecord.objects.filter(action=action).order_by("seq"))


def test_a_row_goes_the_moment_after_its_last_day(db):
    moment = 1 / 86_400 / 1_000_000
    kept = interactions(customer(), 30, 29.9)
    interactions(customer("c-2"), 30 + moment, 31, 700)
    policy("interactions", 30)
    assert run().deleted["interactionHistory"] == 3
    with ADA.here(), transaction():
        assert {i.pk for i in Interaction.objects.all()} == {i.pk for i in kept}


def test_each_class_is_judged_by_its_own_policy(db):
    who = customer()
    interactions(who, 100, 400)
    traces(who, 80, 100, 400)
    policy("interactions", 365)
    policy("decisions", 90)
    done = run()
    assert (done.deleted["interactionHistory"], done.deleted["decisionTrace"]) == (1, 2)


def test_a_held_class_is_left_alone_while_the_others_go(db):
    who = customer()
    interactions(who, 400, 500)
    traces(who, 400)
    policy("interactions", 365, hold=True)
    policy("decisions", 90)
    done = run()
    assert done.held == ("interactions",)
    assert done.held_rows["interactionHistory"] == 2
    assert (count(Interaction), count(DecisionTrace)) == (2, 0)


def test_held_people_stay_while_the_others_go(db):
    ann, bo = customer("ann"), customer("bo")
    interactions(ann, 400, 500)
    interactions(bo, 400)
    hold(ann)
    policy("interactions", 365)
    done = run(batch=1)
    assert (done.deleted["interactionHistory"], done.held, done.held_rows) == (1, (), {"interactionHistory": 2})
    assert done.errors == []
    with ADA.here(), transaction():
        assert {i.customer_id for i in Interaction.objects.all()} == {ann.pk}


def test_a_dry_run_does_not_wait_for_releases_that_are_over(db):
    ann, bo = customer("ann"), customer("bo")
    for who in (ann, bo):
        interactions(who, 400)
    policy("interactions", 365)
    for who, ends in ((ann, NOW), (bo, NOW + timedelta(seconds=1))):
        over = hold(who)
        with ADA.here(), transaction():
            Hold.objects.filter(pk=over.pk).update(**AGREED, releases_at=ends)
    dry = run(dry_run=True)
    assert (dry.deleted["interactionHistory"], dry.held_rows) == (1, {"interactionHistory": 1})
    with ADA.here(), transaction():
        assert not Hold.objects.filter(state=HoldState.RELEASED).exists()
    done = run()
    assert (done.deleted, done.held_rows) == (dry.deleted, dry.held_rows)


def test_an_open_request_pauses_it_for_its_subject(db):
    ann = customer("ann")
    interactions(ann, 400)
    asked = hold(ann, kind="request")
    policy("interactions", 365)
    assert run().total == 0
    end(asked)
    assert run().deleted["interactionHistory"] == 1


def test_a_class_without_policy_is_kept_and_named(db):
    interactions(customer(), 9000)
    done = run()
    assert done.total == 0
    assert "interactions" in done.without_policy
    assert count(Interaction) == 1


def test_it_touches_no_other_tenant(db):
    interactions(customer("m-1", who=MALLORY), 400, who=MALLORY)
    policy("interactions", 30)
    policy("interactions", 3650, who=MALLORY)
    run()
    assert count(Interaction, who=MALLORY) == 1


@pytest.mark.parametrize("batch", [1, 2, 4, 5, 15, 100])
def test_it_goes_through_batches_of_any_size(db, batch):
    interactions(customer(), *([40] * 7 + [50] * 5 + [400] * 3 + [1]))
    policy("interactions", 30)
    assert run(batch=batch).deleted["interactionHistory"] == 15
    assert count(Interaction) == 1


def test_a_purge_without_time_does_a_batch_and_is_continued_by_the_next(db):
    interactions(customer(), *[40] * 5)
    policy("interactions", 30)
    first = run(batch=2, budget=Budget(0))
    assert (first.deleted["interactionHistory"], first.finished) == (2, False)
    second = run(batch=2)
    assert (second.deleted["interactionHistory"], second.finished) == (3, True)


def test_a_hold_that_comes_in_the_middle_stops_it_there(db, monkeypatch):
    interactions(customer(), *[40] * 6)
    policy("interactions", 30)
    plain = batches.Batches.with_retries

    def then_hold(*args, **kwargs):
        done = plain(*args, **kwargs)
        policy("interactions", 30, hold=True)
        return done

    monkeypatch.setattr(batches.Batches, "with_retries", then_hold)
    done = run(batch=2)
    assert done.deleted == {**done.deleted, "interactionHistory": 2}
    assert done.held == ("interactions",)
    assert done.errors == []
    assert count(Interaction) == 4


def test_a_dry_run_counts_the_same_and_does_nothing(db):
    interactions(customer(), 40, 50, 1)
    policy("interactions", 30)
    assert run(dry_run=True).deleted["interactionHistory"] == 2
    assert count(Interaction) == 3
    assert records() == []
    assert run().deleted["interactionHistory"] == 2


def test_it_leaves_one_record_with_the_counts(db):
    interactions(customer(), 40, 50)
    policy("interactions", 30)
    policy("metrics", 30, hold=True)
    run()
    (record,) = records()
    assert record.changes["deleted"]["interactionHistory"] == 2
    assert record.changes["held"] == ["metrics"]
    assert record.changes["total"] == 2
    assert record.user_name == "Ada"


def test_only_the_classes_that_were_asked_for(db):
    who = customer()
    interactions(who, 40)
    traces(who, 40)
    policy("interactions", 30)
    policy("decisions", 30)
    run(classes={"decisions"})
    assert (count(Interaction), count(DecisionTrace)) == (1, 0)


def test_a_profile_stays_while_anything_refers_to_it(db):
    gone, kept = customer("gone", active=days_ago(400)), customer("kept", active=days_ago(400))
    interactions(kept, 10)
    with ADA.here(), transaction():
        IdentityLink.objects.create(customer=gone, kind="device", value="d-1", last_seen_at=days_ago(400))
    policy("profiles", 365)
    policy("interactions", 30)
    done = run()
    assert (done.deleted["identityLink"], done.deleted["customer"]) == (1, 1)
    with ADA.here(), transaction():
        assert Customer.objects.get().pk == kept.pk


def test_a_profile_that_is_referred_to_meanwhile_is_looked_at_again(db, superuser_url):
    gone, busy = customer("gone", active=days_ago(400)), customer("busy", active=days_ago(400))
    policy("profiles", 365)
    waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with ThreadPoolExecutor(1) as pool, psycopg.connect(superuser_url, autocommit=True) as watching:
        with ADA.here(), transaction():
            interactions(busy, 1)
            purging = pool.submit(closing, run)
            wait_until(lambda: watching.execute(waits).fetchone())
        done = purging.result(30)
    assert (done.deleted["customer"], done.errors) == (1, [])
    with ADA.here(), transaction():
        assert Customer.objects.get().pk == busy.pk
    assert gone.pk != busy.pk


def closing(work):
    try:
        return work()
    finally:
        connections.close_all()


def test_suppressions_go_when_they_expire_unless_a_policy_or_a_hold_keeps_them(db, settings):
    settings.RETENTION_COOLING_OFF_HOURS = 0
    who = customer()
    with ADA.here(), transaction():
        for expires in (None, NOW + timedelta(days=1), days_ago(10)):
            suppressions.suppress(who, now=days_ago(50), expires_at=expires)
        suppressions.leave_tombstones(who, now=days_ago(20))
    policy("consents", 30)
    assert run().deleted["suppression"] == 0
    policy("consents", 9, hold=True)
    assert "suppression" not in run().deleted
    policy("consents", 9, hold=False)
    assert run().deleted["suppression"] == 1
    assert count(Suppression) == 2


def test_without_a_policy_a_suppression_ends_by_itself(db):
    who = customer()
    with ADA.here(), transaction():
        suppressions.suppress(who, now=days_ago(50), expires_at=days_ago(1))
        ConsentRecord.objects.create(
            customer=who,
            channel="email",
            purpose="news",
            status="withdrawn",
            recorded_at=days_ago(900),
            withdrawn_at=days_ago(900),
        )
    done = run()
    assert done.deleted["suppression"] == 1
    assert "consents" in done.without_policy
    assert count(ConsentRecord) == 1


def test_tenant_defined_rows_follow_their_schemas_class(db):
    who = customer()
    with ADA.here(), transaction():
        for name, data_class in (("visits", "interactions"), ("scores", "metrics")):
            schema = DynamicSchema.objects.create(name=name, fields=[], data_class=data_class)
            for days in (5, 40):
                DynamicRow.objects.create(schema=schema, customer=who, data={}, clock_at=days_ago(days))
    policy("interactions", 30)
    policy("metrics", 30, hold=True)
    done = run()
    assert done.deleted["dynamicSchemaRows"] == 1
    assert done.held == ("metrics",)
    assert count(DynamicRow) == 3


def attach(*days):
    who = customer()
    with ADA.here():
        stored = attachments.store(
            [Upload(name="id.pdf", content=b"x", uploaded_at=days_ago(d)) for d in days], now=NOW
        )
        for row in stored:
            row.customer_id = who.pk
        with transaction():
            attachments.attach(stored)
    return [row.file.name for row in stored]


def test_an_attachment_goes_with_its_object(db):
    old, young = attach(400, 3)
    policy("attachments", 30)
    done = run()
    assert (done.deleted["attachment"], done.objects.deleted, done.objects.missing) == (1, 1, 0)
    assert not default_storage.exists(old)
    assert default_storage.exists(young)
    assert (count(Attachment), count(ObjectRemoval)) == (1, 0)


def test_an_object_that_was_gone_already_is_a_warning(db):
    (name,) = attach(400)
    default_storage.delete(name)
    policy("attachments", 30)
    done = run()
    assert (done.objects.missing, done.errors) == (1, [])
    assert done.as_dict()["warnings"] == ["1 objects were gone already"]


def test_an_object_that_storage_does_not_let_go_is_tried_again(db, monkeypatch):
    (name,) = attach(400)
    policy("attachments", 30)

    def away(_name):
        raise OSError("storage is away")

    with monkeypatch.context() as patched:
        patched.setattr(removals, "remove_object", away)
        done = run()
    assert (done.deleted["attachment"], done.objects.failed) == (1, 1)
    assert done.errors == ["1 stored objects could not be removed"]
    assert default_storage.exists(name)
    assert run().objects.deleted == 1
    assert not default_storage.exists(name)


def test_a_crash_between_the_commit_and_the_object_is_made_good_by_the_next_purge(db, monkeypatch):
    (name,) = attach(400)
    policy("attachments", 30)

    def dies(**_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(removals, "remove_doomed", dies)
        run()
    assert (count(Attachment), default_storage.exists(name)) == (0, True)
    run()
    assert not default_storage.exists(name)


def test_it_runs_outside_transactions_only(db):
    with ADA.here(), transaction(), pytest.raises(InsideTransaction):
        purge.purge_expired(now=NOW, actor=ADA.actor)


def test_the_commands_say_what_is_kept_and_what_would_go(db):
    interactions(customer(), 90_000 / 100)
    policy("interactions", 30)
    policy("metrics", 30, hold=True)
    assert "no policy: kept for ever" in command("retention", "--tenant", "acme")
    listed = json.loads(command("retention", "--tenant", "acme", "--json"))
    assert [p["dataClass"] for p in listed["policies"]] == ["interactions", "metrics"]
    assert "decisions" in listed["withoutPolicy"]
    dry = json.loads(command("purge", "--tenant", "acme", "--dry-run", "--json"))
    assert (dry["deleted"]["interactionHistory"], dry["dryRun"], dry["held"]) == (1, True, ["metrics"])
    assert "rows would be deleted" in command("purge", "--tenant", "acme", "--dry-run")
    assert count(Interaction) == 1
    with pytest.raises(CommandError, match="known are"):
        command("purge", "--tenant", "acme", "--data-class", "nonsense")
    with pytest.raises(CommandError, match="no active tenant"):
        command("purge", "--tenant", "initech")


def command(*arguments):
    out = StringIO()
    call_command(*arguments, stdout=out, no_color=True)
    return out.getvalue()
