"""Training models: what is learnt, from whom, what comes of it, and what stays when nothing does."""

import json
import subprocess
import sys
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from customers import consents, returns, suppressions
from customers.models import PropensityVersion, RetrainRun, RetrainSchedule
from customers.models.propensity import RetrainState
from customers.propensity import documents, examples, fitting, schedules, serving, training, versions
from customers.propensity.documents import ModelRefused
from kaireon.jobs import cancelling, runner
from kaireon.jobs import services as jobs
from kaireon.jobs.models import Job, JobState
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.cast import ACME, ADA, MALLORY
from tests.customers.conftest import bring, consent
from tests.customers.propensity.world import (
    DAY,
    HOUR,
    OFFER,
    by_chance,
    by_visit,
    fitted,
    never,
    plant,
    retrained,
    schedule,
)


def served(offer: str = OFFER) -> serving.Served | None:
    with transaction():
        return serving.served(offer)


def test_it_learns_what_acceptance_depends_on_and_finds_nothing_in_chance(ada: None) -> None:
    now = clock.now()
    plant(now, answers=by_visit)
    plant(now, answers=by_chance, prefix="q", people=120, offer="noise")
    found = fitted(now)
    assert found.measures.auc > 0.75
    assert found.measures.log_loss < found.base_log_loss
    counts = found.counts
    assert counts["people"] == 60
    assert 0 < counts["train_positives"] < counts["train_rows"]
    assert sum(part["examples"] for part in found.measures.calibration) == counts["test_rows"]
    assert abs(fitted(now, "noise").measures.auc - 0.5) < 0.13
    # The same again, to the byte.
    assert fitted(now).document.content() == found.document.content()


def test_python_scores_as_the_one_who_measured(ada: None) -> None:
    now = clock.now()
    plant(now)
    found = fitted(now)
    document = found.document
    reached = fitting._said(document, found.later._facts, found.later._names)
    told = [document.score(list(f), c) for f, c in zip(found.later._facts, found.later._names, strict=True)]
    assert told == pytest.approx(list(reached))


def test_whoever_opted_out_objected_or_is_suppressed_is_not_learnt_from(ada: None) -> None:
    now = clock.now()
    customers = plant(now, people=40)
    bring("consents", consent("withdrawn", "p-0", recordedAt=clock.rfc3339(now - DAY)), now=now)
    # Granted again since.
    bring(
        "consents", consent("withdrawn", "p-1"), consent("granted", "p-1", recordedAt="2026-02-01T00:00:00Z"), now=now
    )
    with transaction():
        suppressions.suppress(customers[2], now=now - DAY, channel="email")
        suppressions.suppress(customers[3], now=now - 2 * DAY, expires_at=now - DAY)
        # An erased namesake's withdrawal and tombstone hold for who comes under their name.
        consents.reduce_to_evidence(customers[0])
        suppressions.leave_tombstones(customers[4], now=now)
    found = fitted(now)
    expected = {c.pk for n, c in enumerate(customers) if n not in (0, 2, 4)}
    assert found.lineage["leftOut"] == {"erased": 1, "opted_out": 1, "suppressed": 1}
    assert found.counts["people"] == len(expected)
    assert found.lineage["trainingSet"] == fitting.digest(expected)
    with transaction():
        said = [serving.exclusions.reason_of(customers[n], now=now) for n in range(6)]
    assert said == ["opted_out", None, "suppressed", None, "erased", None]


def test_who_opts_out_while_others_are_read_is_taken_out_again(ada: None) -> None:
    now = clock.now()
    customers = plant(now, people=40)
    with transaction():
        asked = examples.window(offer=OFFER, days=365, now=now)

    def told(part: float) -> None:
        with transaction():
            suppressions.suppress(customers[0], now=now)

    found = examples.read(asked=asked, seed=1, told=told)
    learnt = fitting.fit(found, least_positives=10)
    assert learnt.lineage["trainingSet"] == fitting.digest(c.pk for c in customers[1:])


def test_who_opts_out_or_is_erased_while_a_model_is_made_is_not_in_it(ada: None) -> None:
    now = clock.now()
    customers = plant(now, people=40)
    row = schedule(now)
    fits = fitting._fitted
    made: list[int] = []

    def meanwhile(facts, *args: object) -> documents.Document:
        with transaction():
            if not made:
                suppressions.suppress(customers[0], now=now)
                returns.shut_out(customers[1], now=clock.now())
        made.append(len(facts))
        return fits(facts, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "_fitted", meanwhile)
        assert retrained(now).state == RetrainState.SERVED
    assert len(made) == 2
    assert made[1] < made[0]
    with transaction():
        version = PropensityVersion.objects.get()
        assert version.lineage["trainingSet"] == fitting.digest(c.pk for c in customers[2:])
        assert version.lineage["leftOut"] == {"erased": 1, "suppressed": 1}
        # Neither of them is in it: nothing has to be made anew.
        assert not versions.is_stale(version)
        assert not schedules.due(RetrainSchedule.objects.get(pk=row.pk), now=clock.now()).is_due


def test_of_too_many_a_share_is_taken_the_same_each_time(ada: None, monkeypatch: pytest.MonkeyPatch) -> None:
    now = clock.now()
    plant(now, people=100)
    monkeypatch.setattr(examples, "CAP", 300)
    monkeypatch.setattr(examples, "SLICE", 7)
    with transaction():
        asked = examples.window(offer=OFFER, days=365, now=now)
    some = examples.read(asked=asked, seed=1)
    assert 0.45 < some.share < 0.6
    assert 200 < len(some.times) < 400
    assert examples.read(asked=asked, seed=1).people == some.people
    assert examples.read(asked=asked, seed=2).people != some.people


@pytest.mark.parametrize(
    ("answers", "people", "reason"),
    [
        (never, 40, "not trained: one class only: 0 of"),
        (lambda rng, visited: True, 40, "not trained: one class only:"),
        (by_visit, 6, "not trained: too little: 36 examples of 6 people"),
        (None, 0, "not trained: the offer was presented to nobody"),
    ],
)
def test_what_cannot_be_trained_is_an_outcome_and_nothing_else_changes(ada: None, answers, people, reason) -> None:
    now = clock.now()
    schedule(now)
    if answers:
        plant(now, answers=answers, people=people)
    run = retrained(now)
    assert run.state == RetrainState.NOT_TRAINED
    assert run.reason.startswith(reason)
    assert served() is None
    with transaction():
        assert not PropensityVersion.objects.exists()
        assert Job.objects.get().state == JobState.DONE


def test_when_everybody_is_left_out_it_says_so(ada: None) -> None:
    now = clock.now()
    schedule(now)
    for who in plant(now, people=25):
        with transaction():
            suppressions.suppress(who, now=now - DAY)
    assert retrained(now).reason == "not trained: all 25 people are left out: 25 suppressed."


def test_a_version_is_kept_back_when_it_is_worse_than_the_tolerance(ada: None) -> None:
    now = clock.now()
    schedule(now, tolerance=0.0)
    plant(now)
    retrained(now)
    good = served()
    assert good is not None
    with transaction():
        row = RetrainSchedule.objects.get()
    learnt = fitted(now)
    # A model of no use, measured on the same examples.
    useless = documents.Document(
        channels=(),
        means=learnt.document.means,
        scales=learnt.document.scales,
        coefficients=(0.0,) * len(learnt.document.means),
        intercept=3.0,
    )
    worse = fitting.Fitted(
        document=useless,
        measures=learnt.later.measure(useless),
        counts=learnt.counts,
        base_rate=learnt.base_rate,
        base_log_loss=learnt.base_log_loss,
        lineage=learnt.lineage,
        later=learnt.later,
    )
    with transaction():
        is_served, why = training.compare(row, worse, now=now)
    assert not is_served
    assert why.startswith("worse: log loss")
    assert "of version 1 on the same" in why


def test_a_worker_that_is_killed_leaves_what_was_and_the_next_one_ends_it(ada: None) -> None:
    now = clock.now()
    row = schedule(now)
    plant(now)
    with transaction():
        job = schedules.queue(row, slot="a", cause="test", now=now)
        claimed = jobs.claim(job_id=job.pk, now=now)

    class Killed(BaseException):
        pass

    def dies(*_: object, **__: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "_fitted", dies)
        with pytest.raises(Killed):
            runner.work(claimed)
    with transaction():
        assert RetrainRun.objects.get().state == RetrainState.RUNNING
        assert not PropensityVersion.objects.exists()
        # Its lease runs out.
        Job.objects.update(lease_until=now - HOUR)
    assert runner.run(job_id=job.pk).state == JobState.DONE
    with transaction():
        assert RetrainRun.objects.get().state == RetrainState.SERVED
        assert PropensityVersion.objects.count() == 1
    # The first one is not dead after all: what it does comes too late.
    runner.work(claimed)
    with transaction():
        assert PropensityVersion.objects.count() == 1


def test_a_retrain_that_failed_or_was_cancelled_is_in_nobodys_way(ada: None, monkeypatch: pytest.MonkeyPatch) -> None:
    now = clock.now()
    row = schedule(now)
    plant(now, people=25)

    def fails(*_: object, **__: object) -> None:
        raise runner.JobError("no_room", permanent=True)

    with transaction():
        job = schedules.queue(row, slot="a", cause="test", now=now)
    monkeypatch.setattr(fitting, "_fitted", fails)
    assert runner.run(job_id=job.pk).state == JobState.FAILED
    monkeypatch.undo()
    with transaction():
        assert RetrainRun.objects.get().reason == "failed: no_room"
        assert schedules.due(row, now=now).why == "never tried"
        jobs.retry(job=job, now=now)
        assert schedules.due(row, now=now).why == "a retrain is under way"
    assert runner.run(job_id=job.pk).state == JobState.DONE
    with transaction():
        assert RetrainRun.objects.get().state == RetrainState.SERVED
        cancelled = schedules.queue(row, slot="b", cause="test", now=now)
        cancelling.cancel(job=cancelled, now=now)
        assert not schedules.is_under_way(row)


def test_the_command_trains_or_only_says_what_would_come_of_it(ada: None) -> None:
    now = clock.now()

    def said(**options: object) -> str:
        out = StringIO()
        call_command("retrain", tenant=ACME, offer=OFFER, stdout=out, **options)
        return out.getvalue()

    with pytest.raises(CommandError, match="has a retrain schedule"):
        said()
    schedule(now)
    assert said(dry_run=True).startswith("not_trained: not trained: the offer was presented to nobody")
    plant(now, people=25)
    told = json.loads(said(dry_run=True, json=True))
    assert (told["state"], told["due"], told["reason"]) == ("served", True, "the first version")
    assert told["measures"]["auc"] > 0.5
    assert told["lineage"]["leftOut"] == {}
    with transaction():
        assert not RetrainRun.objects.exists()
    assert json.loads(said(json=True))["version"] == 1
    assert said().startswith("served: not worse: log loss")


def test_of_two_that_train_at_once_each_has_a_version_of_its_own(ada: None) -> None:
    now = clock.now()
    row = schedule(now)
    plant(now, people=40)
    with transaction():
        queued = [schedules.queue(row, slot=slot, cause="test", now=now) for slot in "ab"]
        assert schedules.queue(row, slot="a", cause="test", now=now) is None
    inner = training.train

    def meanwhile(*args: object, **given: object) -> training.Trained:
        training.train = inner
        trained = inner(*args, **given)
        assert runner.run(job_id=queued[1].pk).state == JobState.DONE
        return trained

    training.train = meanwhile
    try:
        assert runner.run(job_id=queued[0].pk).state == JobState.DONE
    finally:
        training.train = inner
    with transaction():
        assert sorted(RetrainRun.objects.values_list("version_number", flat=True)) == [1, 2]
        assert RetrainSchedule.objects.get().versions == 2


def test_bytes_that_were_changed_are_refused(ada: None, caplog: pytest.LogCaptureFixture) -> None:
    now = clock.now()
    schedule(now)
    [who, *_] = plant(now)
    retrained(now)
    caplog.set_level("INFO", "kaireon.propensity")
    model = served()
    assert [record.loaded for record in caplog.records if record.msg == "model_load"] == [True]
    assert served().document is model.document
    with transaction():
        likely = serving.score(who, model=model, channel="email", at=now)
        assert 0 < likely < 1
        version = PropensityVersion.objects.get()
        assert model.label == version.label
        changed = bytes(version.content).replace(b'"answerDays":7', b'"answerDays":8')
        PropensityVersion.objects.update(content=changed, sha256=documents.sha256(changed))
    with pytest.raises(ModelRefused):
        served()
    assert caplog.records[-1].loaded is False
    with transaction():
        row = RetrainSchedule.objects.get()
        assert schedules.due(row, now=now).why == "the served version is refused"
    assert "cannot be used" in retrained(now).reason
    assert served().number == 2


def test_going_back_is_recorded_with_its_reason_and_old_versions_go(ada: None) -> None:
    now = clock.now()
    row = schedule(now, keep=1)
    plant(now, people=40)
    assert [retrained(now).version_number for _ in range(2)] == [1, 2]
    with transaction():
        first = PropensityVersion.objects.get(number=1)
        with pytest.raises(versions.NoReason):
            versions.serve(version=first, reason=" ", actor=ADA.actor, now=now)
        versions.serve(version=first, reason="calls were counted twice", actor=ADA.actor, now=now)
        with pytest.raises(versions.AlreadyServed):
            versions.serve(version=first, reason="again", actor=ADA.actor, now=now)
    assert served().number == 1
    from audit.models import AuditRecord
    from audit.services import drain

    drain(ADA.tenant_id)
    with transaction():
        [record] = AuditRecord.objects.filter(action=versions.ROLL_BACK_VERB, entity_id=str(row.pk))
        assert "calls were counted twice" in str(record.changes)
        assert record.user_name == "Ada"
    retrained(now)
    with transaction():
        assert list(PropensityVersion.objects.order_by("number").values_list("number", flat=True)) in ([1, 3], [2, 3])


def test_others_rows_are_not_learnt_from(db: str) -> None:
    now = clock.now()
    with ADA.here():
        plant(now, people=25)
        schedule(now)
        assert retrained(now).state == RetrainState.SERVED
    with MALLORY.here():
        assert served() is None
        schedule(now)
        assert "presented to nobody" in retrained(now).reason
        with transaction():
            assert not PropensityVersion.objects.exists()


def test_importing_the_product_loads_neither_scikit_learn_nor_pyarrow(db: str) -> None:
    code = (
        "import os, sys, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'kaireon.settings'; django.setup();"
        "import kaireon.urls, kaireon.wsgi, kaireon.celery;"
        "sys.exit(str([name for name in ('sklearn', 'scipy', 'numpy', 'pyarrow') if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip().splitlines()[-1] == "[]"
