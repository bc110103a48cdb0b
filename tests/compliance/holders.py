"""Who places and releases holds over HTTP: Ada, and Bea, a second admin, for nobody releases a hold alone."""

from typing import Any

from compliance.models import Hold
from kaireon.approvals import services as approvals
from kaireon.lib import clock
from kaireon.tenancy import tenants
from kaireon.tenancy.context import transaction
from kaireon.tenancy.roles import Role
from tests.caller import Caller, with_key, with_session
from tests.cast import ACME, ADA, PASSWORD, SETUP, Person

URL = "/admin/legal-holds"
MATTER = {"name": "Case 7", "reason": "order", "reference": "7 O 12/26"}
BEA = Person("bea@acme.example", ACME, Role.ADMIN)


def join(person: Person, name: str) -> Person:
    user = tenants.create_user(email=person.email, name=name, password=PASSWORD, actor=SETUP)
    with ADA.here(), transaction():
        tenants.add_member(user=user, role=person.role)
    return person


def place(caller: Caller | None = None, **body: Any) -> Any:
    """The answer to Ada's POST; of everything, unless the body says less."""
    return (caller or with_key("ada")).post(URL, {"matter": MATTER, "confirm": True, **body})


def placed(**body: Any) -> dict[str, Any]:
    answer = place(**body)
    assert answer.status_code == 201, answer.content
    return answer.json()


def release(hold: str, reason: str = "settled") -> Any:
    return with_key("ada").post(f"{URL}/{hold}/release", {"reason": reason})


def agree(approval: str, *, who: Person = BEA) -> None:
    with who.here(), transaction():
        approvals.decide(request_id=approval, answer="approve", actor=who.actor, now=clock.now())


def again(hold: str) -> Hold:
    with ADA.here(), transaction():
        return Hold.objects.get(pk=hold)


def session(person: Person) -> Caller:
    return with_session(person.email)
