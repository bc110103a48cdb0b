"""Several requests given to an officer at once, from the board and from the list."""

from uuid import uuid4

from dsar.desk import assigning_many
from dsar.models import DsarRequest
from dsar.requests import outcomes
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.admin.conftest import SignIn
from tests.admin.inline import refused
from tests.admin.test_verbs import records
from tests.approvals.conftest import BEA, admins  # noqa: F401
from tests.cast import ADA, AUD, ED, MALLORY, VI
from tests.dsar.conftest import file

LIST = "/admin/dsar/dsarrequest/"
TOGETHER = f"{LIST}assign-together/"


def assigned() -> dict[str, str]:
    with ADA.here(), transaction():
        return {str(row.pk): row.assigned_name for row in DsarRequest.objects.all()}


def test_chosen_ones_are_given_to_an_officer_each_with_its_record(sign_in: SignIn, admins: str) -> None:  # noqa: F811
    with ADA.here():
        rows = [file("grievance", f"C-{n}").request for n in range(3)]
    client = sign_in(ADA)
    ids = [str(row.pk) for row in rows]
    # From the list: what was ticked goes to the page that asks to whom, and nothing has changed.
    ticked = {"action": "assign_together", "_selected_action": ids[:2], "select_across": "1"}
    sent = client.post(LIST, ticked)
    assert sent.status_code == 302
    assert assigned() == dict.fromkeys(ids, "")
    asked = client.get(sent.headers["Location"])
    assert refused(asked) == []
    assert asked.content.decode().count('name="id"') == 2
    assert all(row.reference in asked.content.decode() for row in rows[:2])
    done = client.post(sent.headers["Location"], {"id": ids[:2], "to": BEA.actor.id}, follow=True)
    assert "2 requests are assigned to Bea." in done.content.decode()
    assert [assigned()[pk] for pk in ids] == ["Bea", "Bea", ""]
    assert {record.entity_id for record in records("dsar.assign")} == set(ids[:2])
    with ADA.here(), transaction():
        assert DsarRequest.objects.get(pk=ids[0]).state == "review"
    # And back to nobody.
    done = client.post(TOGETHER, {"id": ids[:1], "to": ""}, follow=True)
    assert "1 request is with nobody now." in done.content.decode()
    assert assigned()[ids[0]] == ""


def test_what_cannot_be_given_is_said_and_the_others_are(sign_in: SignIn) -> None:
    with MALLORY.here():
        theirs = file("grievance", "G-1").request
    with ADA.here():
        opened, closed = (file("grievance", f"C-{n}").request for n in range(2))
        with transaction():
            outcomes.withdraw(request=closed, actor=ADA.actor, now=clock.now())
    client = sign_in(ADA)
    ids = [opened.pk, closed.pk, theirs.pk, uuid4(), "no-id"]
    page = client.get(TOGETHER, {"id": ids}).content.decode()
    assert "3 of those chosen are no requests here" in page
    assert str(theirs.pk) not in page
    page = client.post(TOGETHER, {"id": ids, "to": ADA.actor.id}, follow=True).content.decode()
    assert "1 request is assigned to Ada." in page
    assert f"answered by now: {closed.reference}." in page
    assert "no such request here: 3." in page
    with MALLORY.here(), transaction():
        assert DsarRequest.objects.get().assigned_to == ""
    assert assigned() == {str(opened.pk): "Ada", str(closed.pk): ""}


def test_nobody_else_may_and_nothing_else_is_let_through(sign_in: SignIn) -> None:
    with ADA.here():
        row = file("grievance").request
    given = {"id": [str(row.pk)], "to": ADA.actor.id}
    ticked = {"action": "assign_together", "_selected_action": [str(row.pk)]}
    for person in (ED, AUD, VI):
        client = sign_in(person)
        answers = [client.get(TOGETHER, given), client.post(TOGETHER, given), client.post(LIST, ticked)]
        assert [answer.status_code for answer in answers] == [403] * 3, person
    client = sign_in(ADA)
    for action in ("delete_selected", "", "assign_togethe"):
        assert client.post(LIST, {**ticked, "action": action}).status_code in (403, 405), action
    # To no officer, to a member who is none, to a member of another tenant.
    for to in ("x", VI.actor.id, MALLORY.actor.id):
        answer = client.post(TOGETHER, {**given, "to": to})
        assert answer.status_code == 200, to
        assert "Select a valid choice" in answer.content.decode(), to
    assert assigned() == {str(row.pk): ""}
    assert "Choose requests first" in client.get(TOGETHER, follow=True).content.decode()
    many = {"id": [str(uuid4()) for _ in range(assigning_many.MOST + 1)], "to": ""}
    assert "At most 100" in client.post(TOGETHER, many, follow=True).content.decode()
    # Chosen of several: nothing to show where all are foreign.
    assert "Back to the board" in client.get(TOGETHER, {"id": str(uuid4())}).content.decode()
