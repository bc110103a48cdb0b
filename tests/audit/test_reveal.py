"""Opening sealed values: what they are bound to, who may, and the record of each view."""

import base64
from typing import Any
from uuid import UUID

import pytest

from audit.sealing import reveal, subject_keys
from audit.sealing.sealed import Sealer, key_id_of
from kaireon.lib.sealing import SealBroken
from kaireon.tenancy.context import transaction
from kaireon.tenancy.roles import Role
from tests.audit.log import records
from tests.audit.people import EMAIL, about, customer, opened, principal
from tests.cast import ACME, ADA, GLOBEX

pytestmark = pytest.mark.usefixtures("db")


class TestWhoseItIs:
    @pytest.fixture
    def sealer(self) -> Sealer:
        jane = customer()
        [record] = about(jane)
        key_id = key_id_of(record.after["email"])
        assert key_id is not None
        with ADA.here(), transaction():
            [key] = subject_keys.by_id([key_id]).values()
        assert key is not None
        assert key.open(record.after["email"], column="Customer.email") == EMAIL
        return key

    @pytest.mark.parametrize(
        "wrong",
        [
            {"tenant_id": GLOBEX},
            {"subject_id": "somebody-else"},
            {"column": "Customer.name"},
            {"column": "User.email"},
            {"key_id": UUID(int=7)},
        ],
        ids=lambda wrong: next(iter(wrong)),
    )
    def test_a_value_of_another_tenant_subject_column_or_key_is_refused(self, sealer: Sealer, wrong: dict) -> None:
        value = sealer.seal(EMAIL, column="Customer.email")
        parts = {"tenant_id": sealer.tenant_id, "subject_id": sealer.subject_id, "key_id": sealer.key_id}
        column = wrong.get("column", "Customer.email")
        other = Sealer(**{**parts, **{k: v for k, v in wrong.items() if k != "column"}}, cipher=sealer.cipher)
        with pytest.raises(SealBroken):
            other.open(value, column=column)

    def test_any_flipped_bit_is_refused(self, sealer: Sealer) -> None:
        token = base64.b64decode(sealer.seal("x", column="Customer.email")["sealed"])
        for bit in range(len(token) * 8):
            flipped = bytearray(token)
            flipped[bit // 8] ^= 1 << bit % 8
            with pytest.raises(SealBroken):
                sealer.open({"sealed": base64.b64encode(flipped).decode()}, column="Customer.email")

    @pytest.mark.parametrize(
        "value",
        [None, "x", {}, {"sealed": 1}, {"sealed": ""}, {"sealed": "AQ=="}, {"sealed": "ü"}, {"sealed": "A", "b": 1}],
    )
    def test_what_is_no_sealed_value_is_refused(self, sealer: Sealer, value: Any) -> None:
        assert key_id_of(value) is None
        with pytest.raises(SealBroken):
            sealer.open(value, column="Customer.email")

    def test_a_value_put_into_another_record_is_shown_as_unreadable(self, sealer: Sealer) -> None:
        jane = customer("C-18")
        forged = sealer.seal("forged", column="Customer.email")
        record = about(jane)[0]
        record.after["address"] = forged
        record.after["name"] = {"sealed": base64.b64encode(b"\x01" + bytes(60)).decode()}
        found = opened(record).after
        assert (found["address"], found["name"], found["email"]) == (reveal.UNREADABLE, reveal.UNREADABLE, EMAIL)


class TestRevealing:
    @pytest.mark.parametrize("role", [Role.AUDITOR, Role.EDITOR, Role.VIEWER])
    def test_only_admins_may(self, role: Role) -> None:
        [record] = about(customer())
        assert not reveal.may_reveal(principal(role))
        with ADA.here(), transaction(), pytest.raises(reveal.MayNotReveal):
            reveal.opened(record, principal=principal(role))
        assert records(ACME, action="audit_log.reveal") == []

    def test_each_view_is_recorded_with_the_columns_and_without_the_values(self) -> None:
        [record] = about(customer())
        assert reveal.has_sealed(record)
        found = opened(record)
        [view] = records(ACME, action="audit_log.reveal")
        assert (view.entity_type, view.entity_id) == ("AuditRecord", str(record.pk))
        assert view.changes == {"seq": record.seq, "of": "Customer", "columns": found.columns}
        assert {"email", "name"} <= set(found.columns)

    def test_nothing_is_recorded_where_nothing_is_sealed(self) -> None:
        record = records(ACME)[0]
        assert not reveal.has_sealed(record)
        assert opened(record).after == record.after
        assert records(ACME, action="audit_log.reveal") == []
