"""Acme's plans: made, begun, applied and looked at, five minutes after they were made."""

from contextlib import contextmanager
from datetime import timedelta

import pytest

from audit import services as log
from audit.models import AuditRecord
from compliance.models import PurgePlan
from compliance.purging import applying, plans
from compliance.purging.refusals import PlanRefused
from kaireon.approvals import services as approvals
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import scope, transaction
from tests.cast import ACME
from tests.compliance.rows import ADA, NOW

LATER = NOW + timedelta(minutes=5)


@contextmanager
def refused_for(reason):
    with pytest.raises(PlanRefused) as caught:
        yield
    assert caught.value.reason is reason


def make(who=ADA, *, now=NOW, **options):
    with who.here(), transaction():
        return plans.make(actor=who.actor, now=now, **options)


def begin(plan, who=ADA, *, now=LATER, **options):
    with who.here():
        return applying.begin(plan_id=plan.pk, actor=who.actor, now=now, **options)


def go_on(plan, who=ADA, *, now=LATER, seconds=60, **options):
    with who.here():
        return applying.go_on(plan_id=plan.pk, now=now, budget=Budget(seconds), **options)


def apply(plan, who=ADA, *, now=LATER, **options):
    begin(plan, who, now=now)
    return go_on(plan, who, now=now, **options)


def items(plan):
    with ADA.here(), transaction():
        return list(plans.items_of(plan))


def again(plan):
    with ADA.here(), transaction():
        return PurgePlan.objects.get(pk=plan.pk)


def records(action):
    log.drain(ACME)
    with ADA.here(), transaction():
        return list(AuditRecord.objects.filter(action=action).order_by("seq"))


def agree(plan, actor):
    with scope(tenant_id=ACME, actor=actor), transaction():
        return approvals.decide(request_id=plan.approval_id, answer="approve", actor=actor, now=NOW)
