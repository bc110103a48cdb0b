"""Models of acceptance and the rights of those they are learnt from."""

import json
from datetime import datetime
from typing import Any

import pytest
from django.db import connection

from audit.services import drain
from customers import models as m
from customers.propensity import fitting, schedules, serving
from customers.propensity.exclusions import Exclusions
from dsar.models import DsarRequest
from dsar.requests import outcomes
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.cast import ADA
from tests.customers.propensity.world import DAY, HOUR, OFFER, fitted, one, plant, retrained, schedule
from tests.dsar.conftest import EMAIL, NUMBER, answer, file
from tests.dsar.test_erasure import _hold

TABLES = ("customers_retrainschedule", "customers_retrainrun", "customers_propensityversion")


def shown_to(who: m.Customer, now: datetime) -> list[m.Interaction]:
    """Presentations that were accepted, on a channel that is called like them."""
    rows = []
    for days in (150, 120, 90, 60, 12):
        rows.append(one(who, "impression", now - days * DAY, channel=EMAIL))
        rows.append(one(who, "click", now - days * DAY + HOUR, channel=EMAIL))
    return rows


@pytest.fixture
def willing(jane: m.Customer) -> m.Customer:
    """Jane, before she withdrew anything."""
    with transaction():
        m.ConsentRecord.objects.filter(customer=jane).delete()
        m.Suppression.objects.filter(customer=jane).delete()
    return jane


def everything() -> str:
    """All that is kept of models, bytes in the clear, and what the log says of them."""
    said = []
    with transaction(), connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"SELECT to_jsonb(t) FROM public.{table} t")
            said += [str(row) for row in cursor.fetchall()]
        said += [bytes(content).decode() for content in m.PropensityVersion.objects.values_list("content", flat=True)]
        cursor.execute("SELECT result, payload FROM public.jobs_job WHERE type = 'model_retrain'")
        said += [str(row) for row in cursor.fetchall()]
        cursor.execute(
            "SELECT to_jsonb(r) FROM public.audit_record r"
            " WHERE entity_type IN ('RetrainSchedule', 'RetrainRun', 'PropensityVersion')"
        )
        said += [json.dumps(row, default=str) for row in cursor.fetchall()]
    return "\n".join(said)


def due(row: m.RetrainSchedule) -> tuple[bool, str]:
    with transaction():
        said = schedules.due(m.RetrainSchedule.objects.get(pk=row.pk), now=clock.now())
    return said.is_due, said.why


def digest() -> str:
    with transaction():
        return m.PropensityVersion.objects.order_by("-number").values_list("lineage", flat=True)[0]["trainingSet"]


def test_nothing_of_an_erased_person_is_in_models_their_metrics_or_the_log(
    willing: m.Customer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    now = clock.now()
    others = plant(now, people=30)
    rows = shown_to(willing, now)
    row = schedule(now)
    assert retrained(now).state == "served"
    assert digest() == fitting.digest([willing.pk, *(c.pk for c in others)])
    assert due(row) == (False, "too early")
    with transaction():
        model = serving.served(OFFER)
        assert serving.score(willing, model=model, channel=EMAIL, at=now) is not None

    assert answer(file("delete")).outcome == "completed"
    assert due(row) == (True, "stale: subject erased since")
    assert retrained(now).version_number == 2
    assert digest() == fitting.digest(c.pk for c in others)
    assert due(row) == (False, "too early")

    drain(ADA.tenant_id)
    kept, logged = everything(), "\n".join(str(vars(record)) for record in caplog.records)
    assert "model.trained" in kept
    assert '"coefficients"' in kept
    assert "channel=email" in kept
    planted = (NUMBER, EMAIL, "Jane", str(willing.pk), *(str(r.pk) for r in rows), *(r.external_id for r in rows))
    assert "model_retrain" in logged
    assert "model_load" in logged
    assert not [secret for secret in planted if secret in kept or secret in logged]


def test_what_a_hold_keeps_of_an_erasure_is_not_learnt_from(willing: m.Customer) -> None:
    """Its interactions are there still, those of a remnant that has no name."""
    now = clock.now()
    others = plant(now, people=25)
    shown_to(willing, now)
    _hold("interactions")
    assert answer(file("delete")).state == "deferred"
    with transaction():
        assert m.Interaction.objects.filter(customer=willing.pk).exists()
        remnant = m.Customer.objects.get(pk=willing.pk)
    found = fitted(now)
    assert found.lineage["leftOut"] == {"erasure_requested": 1}
    assert found.lineage["trainingSet"] == fitting.digest(c.pk for c in others)
    assert left_out(remnant) == ("erasure_requested", "erasure_requested")


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("delete", "erasure_requested"),
        ("restriction", "restricted"),
        ("objection", "objected"),
        ("opt_out", "opted_out"),
    ],
)
def test_who_asked_is_left_out_from_the_moment_it_is_filed(willing: m.Customer, asked: str, reason: str) -> None:
    now = clock.now()
    others = plant(now, people=25)
    shown_to(willing, now)
    filed = file(asked, EMAIL, subject_type="email")
    found = fitted(now)
    assert found.lineage["leftOut"] == {reason: 1}
    assert found.lineage["trainingSet"] == fitting.digest(c.pk for c in others)
    assert left_out(willing) == (reason, reason)
    if asked in ("restriction", "objection"):
        settle(filed.request, "reject")
        assert left_out(willing) == (None, None)


def test_a_restriction_that_was_granted_goes_on(willing: m.Customer) -> None:
    filed = file("restriction")
    settle(filed.request, "complete")
    assert left_out(willing) == ("restricted", "restricted")


def left_out(who: m.Customer) -> tuple[Any, Any]:
    """As said of many, and of one."""
    with transaction():
        now = clock.now()
        return Exclusions(now).among([who.pk]).get(who.pk), serving.exclusions.reason_of(who, now=now)


def settle(request: DsarRequest, how: str) -> None:
    now = clock.now()
    with transaction():
        if how == "complete":
            outcomes.complete(request=request, resolution="done", now=now)
        else:
            outcomes.reject(request=request, ground="manifestly_unfounded", reason="no", actor=ADA.actor, now=now)
