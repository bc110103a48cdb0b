"""A batch and an erasure at the same time: whoever comes second sees what the first did, and no row is lost between."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connections

from customers.models import ConsentRecord, Customer, Interaction
from kaireon.tenancy.context import transaction
from tests.cast import ADA
from tests.customers.conftest import bring, consent, customer, purchase
from tests.live import wait_until

BATCHES = {
    "interactions": (purchase("o-1", "c-1"), purchase("o-2", "c-2"), purchase("o-3", "c-3")),
    "consents": (consent(customer="c-1"), consent(customer="c-2"), consent(customer="c-3")),
}
MODELS = {"interactions": Interaction, "consents": ConsentRecord}


@pytest.fixture
def three(ada: None) -> None:
    for number in ("c-1", "c-2", "c-3"):
        customer(number)
    # The month is there, so that nothing but the customers themselves makes a batch wait.
    bring("interactions", purchase("o-0", "c-1"))


@pytest.fixture
def erased_meanwhile(superuser_url: str) -> Callable[[Callable[[], Any]], Any]:
    """Runs a call while c-2 is being erased, and commits the erasure once the call waits for it."""

    def during(call: Callable[[], Any]) -> Any:
        answers: list[Any] = []
        with psycopg.connect(superuser_url) as erasing, psycopg.connect(superuser_url, autocommit=True) as watching:
            erasing.execute("SELECT set_config('app.actor_type', 'user', true)")
            erasing.execute("DELETE FROM customers_customer WHERE customer_id = 'c-2'")
            with in_a_thread(lambda: answers.append(call())):
                wait_until(
                    lambda: watching.execute(
                        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
                    ).fetchone()
                )
                erasing.commit()
        return answers[0]

    return during


@contextmanager
def in_a_thread(call: Callable[[], Any]) -> Iterator[None]:
    def work() -> None:
        try:
            with ADA.here():
                call()
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize("kind", BATCHES)
def test_a_customer_erased_meanwhile_is_an_error_of_its_row_alone(three, erased_meanwhile, kind):
    outcome = erased_meanwhile(lambda: bring(kind, *BATCHES[kind]))

    assert (outcome.created, [(e.index, e.field) for e in outcome.errors]) == (2, [(1, "customerId")])
    with transaction():
        assert set(MODELS[kind].objects.values_list("customer__customer_id", flat=True)) == {"c-1", "c-3"}
    again = bring(kind, *BATCHES[kind])
    assert (again.created, again.unchanged, [e.index for e in again.errors]) == (0, 2, [1])


def test_the_call_answers_200_and_names_the_row(three, erased_meanwhile, client_of):
    client = client_of("ada")

    def post() -> Any:
        return client.post("/api/v1/interactions", {"interactions": [*BATCHES["interactions"]]}, format="json")

    answer = erased_meanwhile(post)
    assert answer.status_code == 200
    assert (answer.json()["created"], answer.json()["errors"]) == (
        2,
        [{"index": 1, "field": "customerId", "message": "no customer has this number."}],
    )


def test_a_customer_erased_meanwhile_is_new_to_a_batch_of_customers(three, erased_meanwhile):
    with transaction():
        before = Customer.objects.numbered("c-2").get().pk
    rows = [{"customerId": f"c-{n}", "name": "Ann"} for n in (1, 2, 3)]

    outcome = erased_meanwhile(lambda: bring("customers", *rows))

    assert (outcome.created, outcome.updated, outcome.errors) == (1, 2, [])
    with transaction():
        assert Customer.objects.numbered("c-2").get().pk != before
        assert set(Customer.objects.values_list("name", flat=True)) == {"Ann"}
