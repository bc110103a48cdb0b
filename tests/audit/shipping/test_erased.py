"""Personal values leave sealed: nothing of a person is readable at the receiver, least of all after an erasure."""

import json
from typing import Any

import pytest

from audit.models import AuditRecord
from audit.sealing import reveal
from audit.shipping.destinations import Target
from dsar.models import Status
from kaireon.tenancy.context import scope, transaction
from kaireon.tenancy.principal import Principal
from kaireon.tenancy.roles import PERMISSIONS, Role
from tests.audit.log import WRITER
from tests.audit.shipping.conftest import every_vendor
from tests.audit.shipping.receivers import Receiver
from tests.audit.shipping.runs import head, shipped
from tests.audit.shipping.test_reconciling import reconcile
from tests.cast import ACME, ADA
from tests.dsar.conftest import SECRETS, answer, file, make_customer

pytestmark = pytest.mark.usefixtures("db")


def planted_in(receiver: Receiver) -> list[str]:
    everything = b"".join(receiver.raw).decode()
    return [secret for secret in SECRETS if secret in everything or json.dumps(secret)[1:-1] in everything]


def name_in_the_log(record: AuditRecord) -> Any:
    admin = Principal(
        actor=WRITER, tenant_id=ACME, tenant_name=ACME, role=Role.ADMIN, permissions=PERMISSIONS[Role.ADMIN]
    )
    with scope(tenant_id=ACME, actor=WRITER), transaction():
        return reveal.opened(record, principal=admin).after["name"]


@every_vendor
def test_a_receivers_copies_hold_nothing_readable_of_who_was_erased(receiver: Receiver, operators: Target) -> None:
    with ADA.here(), transaction():
        who = make_customer()
    head()
    with ADA.here(), transaction():
        [made] = AuditRecord.objects.filter(entity_type="Customer", entity_id=str(who.pk), action="create")
    assert shipped(operators).error == ""
    assert planted_in(receiver) == []
    # What is there is the sealed value that the log has, which opens as long as the person is known.
    [copy] = [event for event in receiver.records(ACME) if event["seq"] == made.seq]
    after = copy["after"] if isinstance(copy["after"], dict) else json.loads(copy["after"])
    assert after["name"] == made.after["name"]
    assert name_in_the_log(made) == "Jane Doe"

    with ADA.here():
        filed = file("delete")
        request = answer(filed)
    assert request.status == Status.COMPLETED
    assert shipped(operators).error == ""

    assert planted_in(receiver) == []
    assert name_in_the_log(made) != "Jane Doe"
    assert reconcile()["whole"]
    # Shipped again, it is as unreadable.
    receiver.lose(made.seq, ACME)
    assert reconcile()["reshipped"] == 1
    assert planted_in(receiver) == []
