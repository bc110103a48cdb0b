"""Personal values in the log: sealed under their subject's key, and never in clear."""

import base64
import io
import json
import zipfile
from typing import Any

import psycopg
import pytest
from django.db import connections

from audit import services
from audit.sealing import reveal
from audit.sealing.sealed import ERASED, WITHHELD, key_id_of
from audit.tree import checkpoints
from customers.models import Attachment, ConsentRecord, Customer, IdentityLink, ObjectRemoval
from kaireon.lib import clock
from kaireon.tenancy.context import PLATFORM, platform_scope, transaction
from tests.audit.log import WRITER, verdict
from tests.audit.people import EMAIL, NAME, about, change, customer, destroy, everything, opened
from tests.caller import with_key
from tests.cast import ACME, ADA
from tests.servers import SUITE

pytestmark = pytest.mark.usefixtures("db")


class TestSealing:
    def test_it_seals_each_value_and_opens_it_again(self) -> None:
        jane = customer(attributes={"tier": "gold", "n": [1, None, True]}, birth_date="1990-01-31")
        [record] = about(jane)
        assert set(record.after["email"]) == {"sealed"}
        assert record.changes == record.after
        assert record.after["phone"] != record.after["address"]
        found = opened(record).after
        assert (found["email"], found["name"], found["birth_date"]) == (EMAIL, NAME, "1990-01-31")
        assert found["attributes"] == {"tier": "gold", "n": [1, None, True]}
        assert found["id"] == str(jane.pk)
        assert verdict(ACME).intact

    def test_an_unchanged_value_is_no_change_and_keeps_its_ciphertext_within_the_record(self) -> None:
        jane = customer()
        change(jane, name="Jane Roe")
        created, updated = about(jane)
        assert set(updated.changes) == {"name"}
        assert updated.changes["name"] == [updated.before["name"], updated.after["name"]]
        assert updated.before["name"] != updated.after["name"]
        assert updated.before["email"] == updated.after["email"]
        # From record to record nothing shows that a value is the same.
        assert created.after["email"] != updated.before["email"]
        assert opened(updated).changes == {"name": [NAME, "Jane Roe"]}

    def test_a_value_that_comes_or_goes(self) -> None:
        jane = customer(birth_date=None)
        change(jane, birth_date="1990-01-31")
        change(jane, birth_date=None)
        came, went = about(jane, action="update")
        assert (came.changes["birth_date"][0], went.changes["birth_date"][1]) == (None, None)
        assert opened(came).changes == {"birth_date": [None, "1990-01-31"]}
        assert opened(went).changes == {"birth_date": ["1990-01-31", None]}

    def test_a_deletion_says_what_went(self) -> None:
        jane = customer()
        with ADA.here(), transaction():
            Customer.objects.filter(pk=jane.pk).delete()
        [record] = about(jane, action="delete")
        assert (record.changes, record.after) == (record.before, None)
        assert opened(record).changes["email"] == EMAIL
        assert verdict(ACME).intact

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "漢字 עברית 𝄞 \u2028 \uffff",
            'quotes " and \\ and \' and {"sealed": "x"}',
            {"sealed": "AQ=="},
            {"n": 12.5, "list": [1, [2, {"x": None}]], "": True},
            [],
            0,
            False,
            "x" * 1_000_000,
            {"erased": True},
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_any_value_comes_back(self, value: Any) -> None:
        jane = customer(attributes={"value": value})
        [record] = about(jane)
        assert opened(record).after["attributes"] == {"value": value}
        assert verdict(ACME).intact

    def test_numbers_that_json_cannot_carry_come_back_as_text(self) -> None:
        jane = customer()
        with ADA.here(), transaction(), connections["default"].cursor() as cursor:
            cursor.execute("UPDATE customers_customer SET attributes = '[1e21, 9007199254740993, 1.5]'")
        assert opened(about(jane)[-1]).after["attributes"] == ["1000000000000000000000", "9007199254740993", 1.5]

    def test_a_value_nested_too_deeply_is_sealed_like_any_other(self, superuser: psycopg.Connection) -> None:
        jane = customer()
        deep = '["secret-in-the-deep", ' + "[" * 5000 + "]" * 5000 + "]"
        with ADA.here(), transaction(), connections["default"].cursor() as cursor:
            cursor.execute("UPDATE customers_customer SET attributes = %s::jsonb, phone = 'secret-phone'", [deep])
        record = about(jane)[-1]
        assert set(record.changes) == {"attributes", "phone"}
        assert opened(record).after["phone"] == "secret-phone"
        assert "secret-in-the-deep" in opened(record).after["attributes"]
        assert "secret-" not in everything(superuser, "audit_record")
        assert verdict(ACME).intact

    def test_true_is_another_value_than_one(self) -> None:
        jane = customer(attributes={"n": [1]})
        change(jane, attributes={"n": [True]})
        assert opened(about(jane)[-1]).changes == {"attributes": [{"n": [1]}, {"n": [True]}]}

    def test_what_has_no_subject_is_only_said_to_be_there(self) -> None:
        with ADA.here(), transaction():
            removal = ObjectRemoval.objects.create(object_name="acme/0190.pdf", cause="upload", created_at=clock.now())
        [record] = about(removal)
        assert record.after["object_name"] == WITHHELD

    def test_a_row_cut_loose_from_its_subject_stays_sealed_as_theirs(self) -> None:
        jane = customer()
        with ADA.here(), transaction():
            consent = ConsentRecord.objects.create(
                customer=jane, channel="email", purpose="news", status="granted", source="form", recorded_at=clock.now()
            )
            ConsentRecord.objects.filter(pk=consent.pk).update(customer=None, subject_key="v1:0", source="")
        record = about(consent)[-1]
        assert opened(record).changes["source"] == ["form", ""]
        destroy(jane.pk)
        assert opened(record).changes["source"] == [ERASED, ERASED]

    def test_a_row_that_changes_its_subject_has_values_of_both(self) -> None:
        jane, joe = customer(), customer("C-18")
        with ADA.here(), transaction():
            link = IdentityLink.objects.create(customer=jane, kind="device", value="device-1")
            IdentityLink.objects.filter(pk=link.pk).update(customer=joe)
        record = about(link)[-1]
        assert key_id_of(record.before["value"]) != key_id_of(record.after["value"])
        assert set(record.changes) == {"customer_id"}
        destroy(jane.pk)
        assert (opened(record).before["value"], opened(record).after["value"]) == (ERASED, "device-1")

    def test_users_are_sealed_in_the_log_of_the_platform(self, superuser: psycopg.Connection) -> None:
        services.drain(PLATFORM)
        log = everything(superuser, "audit_record")
        assert "User" in log
        assert not [person for person in ("ada@acme.example", "mallory@globex.example") if person in log]
        with platform_scope(actor=WRITER), transaction():
            users = reveal.keys_of(_contents(superuser, "User"))
        assert len(users) == 5


def _contents(superuser: psycopg.Connection, kind: str) -> list[Any]:
    return [after for (after,) in superuser.execute("SELECT after FROM audit_record WHERE entity_type = %s", [kind])]


class TestNothingInClear:
    def test_no_column_of_the_log_and_nothing_that_leaves_it_shows_a_value(self, superuser: psycopg.Connection) -> None:
        jane = customer(phone="+44 20 7946 0000", address="1 High Street", attributes={"tier": "platinum"})
        change(jane, name="Jane Roe", attributes={"tier": "palladium"})
        with ADA.here(), transaction():
            Attachment.objects.create(customer=jane, name="letter.pdf", size=3, uploaded_at=clock.now(), file="f/0190")
            Customer.objects.filter(pk=customer("C-18").pk).delete()
        services.drain(ACME)
        checkpoints.make(ACME)
        written = everything(
            superuser, "audit_record", "audit_tile", "audit_checkpoint", "audit_inbox", "audit_head", "audit_subjectkey"
        )
        caller = with_key("aud")
        bundle = b"".join(caller.get("/audit-logs/bundle").streaming_content)  # type: ignore[attr-defined]
        with zipfile.ZipFile(io.BytesIO(bundle)) as inside:
            left = "".join(inside.read(name).decode() for name in inside.namelist())
        left += "".join(caller.get(f"/audit-export?format={kind}").content.decode() for kind in ("json", "csv", "soc2"))
        assert str(jane.pk) in written
        assert str(jane.pk) in left
        for secret in (
            EMAIL,
            NAME,
            "Jane Roe",
            "7946 0000",
            "High Street",
            "platinum",
            "palladium",
            "C-17",
            "C-18",
            "f/0190",
        ):
            for shown in (
                secret,
                json.dumps(secret)[1:-1],
                secret.encode().hex(),
                base64.b64encode(secret.encode()).decode(),
            ):
                assert shown not in written, secret
                assert shown not in left, secret

    def test_lengths_show_by_steps_only(self) -> None:
        lengths = {len(about(customer(f"C-{n}", name="x" * n))[0].after["name"]["sealed"]) for n in range(1, 31)}
        assert len(lengths) == 1

    def test_the_inbox_is_read_by_the_sequencer_alone(self, db: str) -> None:
        customer()
        for alias in ("default", "owner"):
            with psycopg.connect(SUITE.urls(db)[alias]) as session:
                session.execute("SELECT set_config('app.tenant_id', 'acme', false)")
                if alias == "default":
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        session.execute("SELECT after FROM audit_inbox")
                else:
                    # Row-level security is forced on the owner too, and has no policy for it.
                    assert session.execute("SELECT after FROM audit_inbox").fetchall() == []
