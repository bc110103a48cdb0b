"""Idempotency-Key: the same POST twice happens once and answers the same."""

import threading
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from rest_framework.response import Response

from dsar.models import DsarRequest
from kaireon.lib import clock
from kaireon.tenancy import idempotency
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import IdempotencyKey
from tests.caller import error_of, with_key, with_session
from tests.cast import ADA, MALLORY

pytestmark = pytest.mark.usefixtures("db")

BODY = {"requestType": "export", "subjectId": "c-1"}


def ask(key: str = "k-1", body: dict[str, Any] | None = None, *, nick: str = "ada", path: str = "/dsar") -> Any:
    return with_key(nick).post(path, BODY if body is None else body, idempotency_key=key)


def filed(person: Any = ADA) -> int:
    with person.here(), transaction():
        return DsarRequest.objects.count()


def test_it_replays_the_answer_of_the_first() -> None:
    first, second = ask(), ask()
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert "Idempotency-Replayed" not in first
    assert second["Idempotency-Replayed"] == "true"
    assert filed() == 1


def test_it_does_each_key_once() -> None:
    ask("k-1")
    ask("k-2")
    assert filed() == 2


def test_it_refuses_another_request_under_the_same_key() -> None:
    ask()
    for other in (ask(body={**BODY, "subjectId": "c-2"}), ask(path="/dsar?encrypt=true")):
        assert other.status_code == 422
        assert error_of(other)["code"] == "idempotency_mismatch"
    assert filed() == 1


def test_it_keeps_principals_and_tenants_apart() -> None:
    ask()
    assert "Idempotency-Replayed" not in with_session(ADA.email).post("/dsar", BODY, idempotency_key="k-1")
    assert "Idempotency-Replayed" not in ask(nick="mallory")
    assert filed() == 2
    assert filed(MALLORY) == 1


def test_it_keeps_no_refusal() -> None:
    assert ask(body={**BODY, "requestType": "nothing"}).status_code == 400
    assert ask().status_code == 202
    assert filed() == 1


def test_it_refuses_an_unusable_key() -> None:
    for key in ("x" * 256, "tab\there", "bell\x07"):
        assert "Idempotency-Key" in error_of(ask(key))["message"]
    assert filed() == 0


def test_without_a_key_everything_happens() -> None:
    for _ in range(2):
        with_key("ada").post("/dsar", BODY)
    assert filed() == 2


def test_it_forgets_after_a_day() -> None:
    ask()
    with clock.freeze(clock.now() + timedelta(hours=25)):
        assert "Idempotency-Replayed" not in ask()
    assert filed() == 2


def claimed(seconds_ago: int = 0) -> idempotency.Claim:
    """A request that claimed the key some time ago and has not answered."""
    with ADA.here(), clock.freeze(clock.now() - timedelta(seconds=seconds_ago)):
        return idempotency.claim(principal=ADA.actor.id, key="k-1", fingerprint="f")


def claim_again() -> idempotency.Claim:
    with ADA.here():
        return idempotency.claim(principal=ADA.actor.id, key="k-1", fingerprint="f")


def test_it_refuses_while_the_first_still_runs() -> None:
    claimed()
    with pytest.raises(idempotency.Conflict, match="still running"):
        claim_again()


def test_it_takes_over_from_one_that_died() -> None:
    claimed(seconds_ago=121)
    assert claim_again().replay is None
    # …and only one does.
    with pytest.raises(idempotency.Conflict):
        claim_again()


def test_one_that_was_slow_and_is_too_late_changes_nothing() -> None:
    """Its key was taken over: it must neither answer for the other nor give the other's claim up."""
    slow = claimed(seconds_ago=121)
    quick = claim_again()
    with ADA.here():
        with pytest.raises(idempotency.Conflict), transaction():
            slow.answer(Response({"n": 1}, status=200))
        slow.give_up()
        with transaction():
            quick.answer(Response({"n": 2}, status=200))
    replay = claim_again().replay
    assert replay is not None
    assert replay.data == {"n": 2}


def test_of_many_at_once_exactly_one_happens() -> None:
    start, statuses = threading.Barrier(4), []

    def race() -> None:
        start.wait()
        try:
            statuses.append(ask().status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {202, 409}
    assert filed() == 1


def test_the_kept_answer_is_sealed(superuser_url: str) -> None:
    request_id = ask().json()["requestId"]
    with psycopg.connect(superuser_url) as root:
        kept = root.execute("SELECT answer FROM tenancy_idempotencykey").fetchone()
    assert kept
    assert request_id.encode() not in kept[0]
    with ADA.here(), transaction():
        assert IdempotencyKey.objects.get().status == 202
