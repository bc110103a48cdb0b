"""What is held is found by a plan that lasts, however many rows and subjects, also before anybody counted them."""

import pytest

from compliance.holding import predicate
from customers.models import Interaction
from kaireon.tenancy.context import transaction
from tests.compliance.rows import ADA, customer, hold, interactions

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_looks_held_subjects_up_in_a_hash_and_compares_no_row_with_each() -> None:
    somebody = customer()
    interactions(somebody, 400)
    hold(somebody)
    with ADA.here(), transaction():
        plan = predicate.free(Interaction.objects.all(), "interactions").explain()

    assert "hashed SubPlan" in plan
    assert "Anti Join" not in plan
