"""manage.py hold list | preview | place | release."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from audit import services as log
from audit.models import AuditRecord
from compliance.models import Hold, Matter
from kaireon.tenancy.context import transaction
from tests.cast import ACME, ADA, ED, VI
from tests.compliance.holders import BEA, again, agree, join
from tests.compliance.rows import count, customer, interactions

pytestmark = pytest.mark.usefixtures("db")
CASE = ("--name", "Case 7", "--reason", "order")


def run(*words, tenant="acme"):
    out = StringIO()
    call_command("hold", *words, "--tenant", tenant, stdout=out)
    return out.getvalue()


def said(*words, **where):
    return json.loads(run(*words, "--json", **where))


def refused(*words, match):
    with pytest.raises(CommandError, match=match):
        run(*words)


def test_it_previews_places_lists_and_asks_to_release():
    join(BEA, "Bea")
    interactions(customer("ann"), 1, 40)
    interactions(customer("bo"), 1)
    scope = ("--subject", "ann", "--entity", "interactionHistory", "--from", "2020-01-01")
    assert said("preview", *scope) == {"rows": 2, "byEntity": {"interactionHistory": 2}, "confirm": ""}
    assert said("place", *scope, *CASE, "--dry-run")["rows"] == 2
    assert (count(Hold), count(Matter)) == (0, 0)
    hold = said("place", *scope, *CASE, "--custodian", ED.email)
    assert (hold["state"], hold["subjectCount"], hold["noticesSent"]) == ("active", 1, 1)
    assert [row["id"] for row in said("list")["holds"]] == [hold["id"]]
    assert said("list", "--state", "released")["holds"] == []
    assert said("list", tenant="globex")["holds"] == []
    asked = said("release", "--hold", hold["id"], "--ask-as", ADA.email, "--reason", "settled")["approval"]
    assert again(hold["id"]).state == "active"
    agree(asked["id"])
    assert again(hold["id"]).state == "releasing"
    refused("release", "--hold", hold["id"], "--ask-as", ADA.email, "--reason", "x", match="being released")
    text = run("list")
    assert "releasing at" in text
    assert "interactionHistory of 1 customers  Case 7" in text


def test_a_second_hold_is_placed_for_the_same_matter():
    said("place", *CASE, "--confirm")
    with ADA.here(), transaction():
        matter = str(Matter.objects.get().pk)
    assert said("place", "--matter", matter, "--data-class", "decisions", "--confirm")["matter"]["id"] == matter
    assert count(Matter) == 1


def test_it_says_what_it_finds_in_words():
    interactions(customer("ann"), 1)
    text = run("preview")
    assert "interactionHistory" in text
    assert "everything there is" in text


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("place", *CASE), "--confirm: finds nothing"),
        (("place", "--reason", "order", "--confirm"), "--name: "),
        (("place", "--name", "x" * 201, "--reason", "order", "--confirm"), "--name: must have at most 200"),
        (("place", "--name", "x", "--reason", "y" * 501, "--confirm"), "--reason: must have at most 500"),
        (("place", *CASE, "--counsel", "z" * 201, "--confirm"), "--counsel: must have at most 200"),
        (("place", "--name", "Case 7", "--confirm"), "--reason: "),
        (("preview", "--data-class", "x"), "--data-class: unknown"),
        (("preview", "--entity", "x"), "--entity: "),
        (("preview", "--subject", "nobody"), "--subject: "),
        (("preview", "--from", "2026-01-15T09:00:00"), "--from: needs an offset"),
        (("preview", "--from", "2026-02-01", "--until", "2026-01-01"), "--until: "),
        (("preview", "--query", "{"), "--query: is no JSON"),
        (("preview", "--query", "{}"), "--query: "),
        (("preview", "--query", "[1]", "--entity", "delivery"), "--query: condition 0"),
        (("place", *CASE, "--confirm", "--custodian", "x@x.example"), "--custodian x@x.example: "),
        (("place", "--matter", "00000000-0000-0000-0000-000000000000", "--confirm"), "no such matter"),
        (("release",), "release needs --hold"),
        (
            ("release", "--hold", "00000000-0000-0000-0000-000000000000", "--ask-as", ADA.email, "--reason", "x"),
            "no such hold",
        ),
    ],
)
def test_what_is_wrong_is_refused_by_its_option(words, match):
    refused(*words, match=match)
    assert (count(Hold), count(Matter)) == (0, 0)


def test_who_may_not_manage_retention_asks_nobody():
    hold = said("place", *CASE, "--confirm")["id"]
    refused("release", "--hold", hold, "--ask-as", VI.email, "--reason", "x", match="may not manage retention")


def test_a_reason_that_cannot_be_kept_is_refused_before_anybody_agrees():
    hold = said("place", *CASE, "--confirm")["id"]
    asking = ("release", "--hold", hold, "--ask-as", ADA.email, "--reason")
    refused(*asking, "x" * 501, match="--reason: must have at most 500")
    assert said(*asking, "x" * 500)["approval"]["state"] == "pending"


def test_what_it_refuses_is_recorded_as_over_http():
    interactions(customer("ann"), 1)
    refused("place", *CASE, "--dry-run", "--entity", "x", match="--entity")
    refused("place", *CASE, match="--confirm")
    hold = said("place", *CASE, "--confirm")["id"]
    asking = ("release", "--hold", hold, "--ask-as", ADA.email, "--reason", "settled")
    run(*asking)
    refused(*asking, match="waits for an answer already")
    log.drain(ACME)
    with ADA.here(), transaction():
        rows = AuditRecord.objects.filter(action="legal_hold.refused").order_by("seq")
        recorded = list(rows.values_list("entity_id", "changes__reason"))
    assert recorded == [("", "confirm_required"), (hold, "release_asked_already")]
