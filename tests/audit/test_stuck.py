"""A log that cannot be continued: it stops nobody else, says so, can still be read, and goes on when it can."""

import os
import random
import unicodedata
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import ProgrammingError

import audit
from audit import sequencer, services
from audit.tree import checkpoints
from kaireon.lib import clock
from kaireon.ops import health
from kaireon.tenancy import signals
from kaireon.tenancy.context import Actor, scope, transaction
from kaireon.tenancy.models import ApiKey
from kaireon.tenancy.principal import Principal
from kaireon.tenancy.roles import PERMISSIONS, Role
from tests.audit.log import WRITER, records, verdict, write
from tests.caller import with_key
from tests.cast import ACME, GLOBEX

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture(autouse=True)
def _nobody_stuck(db: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    for pause in ("FIRST_PAUSE", "LONGEST_PAUSE"):
        monkeypatch.setattr(sequencer, pause, 1000.0)
    while sequencer.sweep():
        pass
    yield
    sequencer._stuck.until.clear()
    sequencer._stuck.pauses.clear()


def forge(root: psycopg.Connection, after: int) -> None:
    """Somebody takes a number of Acme's log that is still to come, so many after its last one."""
    root.execute("SET session_replication_role = replica")
    root.execute(
        "INSERT INTO audit_record SELECT (jsonb_populate_record(r, jsonb_build_object('id', gen_random_uuid(),"
        " 'seq', r.seq + %s))).* FROM audit_record r WHERE tenant_id = 'acme' ORDER BY seq DESC LIMIT 1",
        [after],
    )


def unforge(root: psycopg.Connection) -> None:
    root.execute(
        "DELETE FROM audit_record r USING audit_head h"
        " WHERE r.tenant_id = 'acme' AND h.tenant_id = 'acme' AND r.seq > h.seq"
    )


def waiting(root: psycopg.Connection, tenant: str) -> int:
    row = root.execute("SELECT count(*) FROM audit_inbox WHERE tenant_id = %s", [tenant]).fetchone()
    return row[0] if row else 0


def test_it_goes_as_far_as_it_can_and_names_the_record(
    superuser: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    forge(superuser, 4)
    write(10, tenant=ACME)
    write(2, tenant=GLOBEX)
    while sequencer.sweep():
        pass

    assert (waiting(superuser, ACME), waiting(superuser, GLOBEX)) == (7, 0)
    [said] = [vars(r) for r in caplog.records if r.name == sequencer.logger.name]
    row = superuser.execute("SELECT min(id) FROM audit_inbox WHERE tenant_id = 'acme'").fetchone()
    assert (said["msg"], said["tenant_id"], said["error_type"]) == ("tenant_not_sequenced", ACME, "IntegrityError")
    assert row == (said["inbox_id"],)


def test_it_is_left_alone_for_a_while_and_goes_on_by_itself_when_it_can(
    superuser: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    forge(superuser, 1)
    write(2, tenant=ACME)
    for _ in range(5):
        assert sequencer.sweep() == 0
    assert len(caplog.records) == 1
    unforge(superuser)
    assert sequencer.sweep() == 0
    sequencer._stuck.until[ACME] = 0.0
    assert sequencer.sweep() == 2
    assert not sequencer._stuck.pauses
    assert verdict(ACME).intact


@pytest.fixture
def sequenced(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Which tenants' records were sequenced together, in order."""
    together: list[list[str]] = []
    sequence = sequencer._sequence

    def noted(cursor: Any, tenants: Any, batch: int) -> int:
        if tenants:
            together.append(list(tenants))
        return sequence(cursor, tenants, batch)

    monkeypatch.setattr(sequencer, "_sequence", noted)
    return together


def test_tried_again_it_costs_no_other_its_turn(superuser: psycopg.Connection, sequenced: list[list[str]]) -> None:
    forge(superuser, 1)
    write(tenant=ACME)
    sequencer.sweep()
    sequencer._stuck.until[ACME] = 0.0
    write(tenant=GLOBEX)
    sequenced.clear()
    assert sequencer.sweep() == 1
    assert [tenants for tenants in sequenced if GLOBEX in tenants] == [[GLOBEX]]
    assert [ACME] in sequenced


def test_large_records_of_several_are_not_taken_together(
    monkeypatch: pytest.MonkeyPatch, sequenced: list[list[str]]
) -> None:
    monkeypatch.setattr(sequencer, "BATCH_BYTES", 1000)
    for tenant in (ACME, GLOBEX):
        write(tenant=tenant, changes={"noise": os.urandom(2000).hex()})
    assert sequencer.sweep() == 2
    assert sequenced == [[ACME], [GLOBEX]]


def test_what_keeps_it_from_every_inbox_is_said(superuser: psycopg.Connection) -> None:
    write(tenant=ACME)
    superuser.execute("REVOKE SELECT ON audit_inbox FROM kaireon_sequencer")
    with pytest.raises(ProgrammingError, match="permission denied"):
        sequencer.sweep()
    superuser.execute("GRANT SELECT ON audit_inbox TO kaireon_sequencer")
    assert sequencer.sweep() == 1


def test_an_auditor_can_read_it_and_is_told_what_is_wrong(superuser: psycopg.Connection) -> None:
    forge(superuser, 1)
    write(2, tenant=ACME)
    found = with_key("aud").get("/audit-logs/verify")
    assert (found.status_code, found.json()["intact"]) == (200, False)
    assert with_key("aud").get("/audit-logs").status_code == 200
    assert waiting(superuser, ACME) >= 2


def test_readiness_tells_when_it_lasts(superuser: psycopg.Connection) -> None:
    forge(superuser, 1)
    write(tenant=ACME)
    superuser.execute("""UPDATE audit_inbox SET "timestamp" = "timestamp" - interval '5 minutes'""")
    sequencer.sweep()
    assert health.sequencing_lags()


COMPOSED = "\u00e9"
ODD_CHANGES: dict[str, Callable[[], dict[str, object]]] = {
    "five megabytes": lambda: {"noise": os.urandom(2_500_000).hex()},
    "NUL": lambda: {"a\x00b": "c\x00d"},
    "half a pair": lambda: {"\ud800": "\udfff"},
    "keys that differ in normalisation only": lambda: {COMPOSED: 1, unicodedata.normalize("NFD", COMPOSED): 2},
    "keys that become the same": lambda: {"\x00": 1, "\ufffd": 2},
    "floats": lambda: {"of": [1.5, 1e21, 1e-400, -0.0, float("nan"), float("inf"), 2.0**53]},
    "huge integers": lambda: {"of": [2**53 + 1, -(2**200), 10**5000]},
}


@pytest.mark.parametrize("odd", ODD_CHANGES.values(), ids=ODD_CHANGES)
def test_no_value_that_the_product_records_stops_a_log(odd: Callable[[], dict[str, object]]) -> None:
    write(tenant=ACME, changes=odd())
    write(tenant=ACME, first=1)
    assert [r.entity_id for r in records(ACME, action="test.event")] == ["0", "1"]
    assert verdict(ACME).intact


def test_keys_that_differ_in_normalisation_only_stay_two() -> None:
    write(tenant=ACME, changes=ODD_CHANGES["keys that differ in normalisation only"]())
    [record] = records(ACME, action="test.event")
    assert sorted(record.changes.values()) == [1, 2]


@pytest.mark.parametrize("odd", ["a\x00b", "\ud800", ""], ids=ascii)
def test_no_name_that_the_product_records_stops_a_log(odd: str) -> None:
    with scope(tenant_id=ACME, actor=WRITER, request_id="req-odd"), transaction():
        audit.record(action=odd, entity_type=odd, entity_id=odd, entity_name=odd)
    write(tenant=ACME)
    assert len(records(ACME, request_id="req-odd")) == 1
    assert len(records(ACME, action="test.event")) == 1
    assert verdict(ACME).intact


@pytest.mark.parametrize("script", ["a", "Ж", "漢", "𝄞"])
def test_no_text_is_too_long_for_the_indexes_of_the_log(script: str) -> None:
    before = len(records(ACME))
    # What repeats would be compressed.
    long = "".join(chr(ord(script) + choice) for choice in random.Random(1).choices(range(24), k=20_000))
    actor = Actor(id=long, name=long, type="job")
    with scope(tenant_id=ACME, actor=actor, request_id=long), transaction():
        audit.record(action=long, entity_type=long, entity_id=long, entity_name=long)
        key = ApiKey.objects.get(prefix="vi")
        audit.action(long, entity=key)
        ApiKey.objects.filter(pk=key.pk).update(name=long[:100])
    with scope(tenant_id=ACME, actor=actor, request_id=long):
        signals.access_refused.send(
            sender=None,
            principal=Principal(
                actor=actor, tenant_id=ACME, tenant_name=ACME, role=Role.VIEWER, permissions=PERMISSIONS[Role.VIEWER]
            ),
            reason=long,
            request_id=long,
        )
    write(tenant=ACME)
    assert len(records(ACME)) == before + 4
    assert verdict(ACME).intact


def test_a_clock_that_goes_back_reorders_nothing_and_breaks_nothing(superuser: psycopg.Connection) -> None:
    superuser.execute("SET session_replication_role = replica")
    for number, hours in enumerate((0, 5, -7)):
        write(tenant=ACME, first=number)
        superuser.execute(
            """UPDATE audit_inbox SET "timestamp" = "timestamp" + %s WHERE tenant_id = 'acme' AND entity_id = %s""",
            [timedelta(hours=hours), str(number)],
        )
        with clock.freeze(clock.now() + timedelta(hours=hours)):
            services.drain(ACME)
    found = records(ACME, action="test.event")
    assert [r.entity_id for r in found] == ["0", "1", "2"]
    assert found[2].timestamp < found[0].timestamp < found[1].timestamp
    assert verdict(ACME).intact


def test_a_clock_that_goes_back_does_not_put_off_checkpoints() -> None:
    write(tenant=ACME)
    services.drain(ACME)
    ahead = clock.now() + timedelta(hours=1)
    with clock.freeze(ahead):
        checkpoints.make(ACME)
    assert ACME not in checkpoints.due(ahead)
    write(tenant=ACME)
    services.drain(ACME)
    assert ACME not in checkpoints.due(ahead)
    assert ACME in checkpoints.due(clock.now())
