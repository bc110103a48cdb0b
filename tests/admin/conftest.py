"""The admin as the cast sees it: a signed-in client for each person."""

from collections.abc import Callable

import pytest
from django.test import Client

from tests.cast import PASSWORD, Person

SignIn = Callable[[Person], Client]


@pytest.fixture
def sign_in(db: str) -> SignIn:
    """A client of the admin, signed in through its own page."""

    def signed_in(person: Person) -> Client:
        client = Client(raise_request_exception=False)
        answer = client.post("/admin/login/", {"username": person.email, "password": PASSWORD})
        assert answer.status_code == 302
        return client

    return signed_in
