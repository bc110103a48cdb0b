"""A search of a large log is answered by an index."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from audit import search, services
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.audit.admin.pages import LOG
from tests.audit.log import write
from tests.cast import ACME, ADA, GLOBEX

# Every index that a search must use, by what is asked; a plan without it reads the whole log.
PLANS: dict[str, tuple[dict[str, Any], str]] = {
    "the newest": ({}, "audit_record_seq"),
    "an action": ({"action": "update"}, "audit_record_action"),
    "a type and id": ({"entity_type": "ApiKey", "entity_id": "x"}, "audit_record_entity"),
    "a request": ({"request_id": "x"}, "audit_record_request"),
    "a time": ({"since": clock.at("12:00"), "until": clock.at("13:00")}, "audit_record_time"),
}


@pytest.mark.parametrize("name", PLANS)
def test_an_index_answers_each_search_under_row_level_security(name: str, db: str) -> None:
    asked, index = PLANS[name]
    plan = _plan(asked)
    assert index in plan
    assert "Seq Scan" not in plan


@pytest.mark.parametrize("alternative", ["user_id", "user_name"])
def test_an_index_answers_each_way_to_name_an_actor(alternative: str, db: str) -> None:
    plan = _plan({"actor": "Ada"}, alternative=["user_id", "user_name"].index(alternative))
    assert f"audit_record_{alternative}" in plan


def _plan(asked: dict[str, Any], alternative: int = 0) -> str:
    """Of a log that is large, as the planner is told."""
    write(600, tenant=ACME)
    services.drain(ACME)
    wanted = search.Search(**asked)
    with ADA.here(), transaction():
        with connection.cursor() as cursor:
            cursor.execute(
                "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off"
            )
        condition = search._conditions(wanted)[alternative]
        rows = search._beyond(search._narrowed(wanted).filter(condition), wanted, None, upwards=False)
        return str(rows[:51].explain())


def test_a_page_asks_the_same_number_of_questions_whatever_the_log_holds(
    client: Client, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    write(120, tenant=ACME)
    services.drain(ACME)
    with django_assert_max_num_queries(40):
        client.get(LOG)


def test_globex_is_not_searched_for_acme(db: str) -> None:
    write(3, tenant=GLOBEX)
    services.drain(GLOBEX)
    with ADA.here(), transaction():
        assert search.find(search.Search(action="test.event")).rows == []
        assert "test.event" not in search.suggestions("action")
