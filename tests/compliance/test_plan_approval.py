"""Who must agree to a plan, and what they agree to."""

from datetime import timedelta

import psycopg
import pytest

from compliance.models import Disposition
from compliance.purging import plans
from compliance.purging.refusals import Reason
from kaireon.approvals import services as approvals
from kaireon.lib import clock
from kaireon.tenancy.context import Actor, scope, transaction
from tests.cast import ACME
from tests.compliance.planned import again, agree, apply, begin, make, refused_for
from tests.compliance.rows import ADA, NOW


@pytest.fixture(autouse=True)
def _noon():
    with clock.freeze(NOW):
        yield


def test_the_disposition_names_who_agreed(two_people, old, bea):
    plan = make()
    agree(plan, bea)
    assert again(plan).state == "approved"
    apply(plan)
    with ADA.here(), transaction():
        assert {(d.approved_by, d.approved_by_name, d.done_by_name) for d in Disposition.objects.all()} == {
            (bea.id, "Bea", "Ada")
        }


def test_a_governed_class_asks_for_a_second_person_by_itself(old, bea, superuser_url):
    with psycopg.connect(superuser_url) as root:
        root.execute("SET session_replication_role = replica")
        root.execute("UPDATE compliance_policyversion SET mode = 'governance' WHERE data_class = 'decisions'")
    assert make(classes={"interactions"}).approval_id is None
    plan = make()
    with refused_for(Reason.PLAN_NOT_APPROVED):
        begin(plan)
    agree(plan, bea)
    assert apply(plan).rows == 7


def test_the_author_may_not(two_people, old):
    with pytest.raises(approvals.OwnRequest):
        agree(make(), ADA.actor)


def test_a_plan_that_was_changed_is_not_agreed_to(two_people, old, bea, superuser_url):
    plan = make()
    with psycopg.connect(superuser_url) as root:
        root.execute("UPDATE compliance_purgeplanitem SET rows = 6")
    assert (agree(plan, bea).error, again(plan).state) == ("plan_changed", "planned")


def test_a_stale_plan_is_not_agreed_to(two_people, old, bea, superuser_url):
    plan = make()
    with clock.freeze(NOW + timedelta(days=1, seconds=1)):
        assert agree(plan, bea).error == "plan_stale"


def test_a_job_asks_nobody(two_people, old):
    robot = Actor.system("command:retention_plan")
    with scope(tenant_id=ACME, actor=robot), transaction():
        with pytest.raises(plans.AskerNeeded):
            plans.make(actor=robot, now=NOW)
        assert plans.make(actor=robot, now=NOW, asker=ADA.actor).made_for == ADA.actor.id
