"""kill -9 of the sequencer, and of the maker of checkpoints, at every statement of a batch and around its commit."""

import psycopg
import pytest
from django.db import connections

from audit import sequencer
from audit.models import Checkpoint
from audit.sealing import reveal
from audit.tree import checkpoints
from audit.tree.notes import Note
from customers.models import Customer
from kaireon.tenancy.context import PLATFORM, scope, transaction
from kaireon.tenancy.principal import Principal
from kaireon.tenancy.roles import PERMISSIONS, Role
from tests.audit.kills.child import dying
from tests.audit.kills.state import assert_whole, look
from tests.audit.log import WRITER, records, verdict, write
from tests.cast import ACME, ADA, GLOBEX

pytestmark = pytest.mark.usefixtures("db")

LOGS = (ACME, GLOBEX)


def empty_inboxes() -> None:
    while sequencer.sweep():
        pass


def change_rows(turn: int) -> None:
    """One without personal values, and one of somebody whose key is made while it is sequenced."""
    with ADA.here(), transaction(), connections["default"].cursor() as cursor:
        cursor.execute("UPDATE tenancy_apikey SET name = %s WHERE prefix = 'vi'", [f"turn {turn}"])
        Customer.objects.create(customer_id=f"C-{turn}", name=f"Person {turn}")


def names_in_the_log() -> list[str]:
    """What the sealed names of the customers' records open to."""
    found = records(ACME, entity_type="Customer", action="create")
    admin = Principal(
        actor=WRITER, tenant_id=ACME, tenant_name=ACME, role=Role.ADMIN, permissions=PERMISSIONS[Role.ADMIN]
    )
    with scope(tenant_id=ACME, actor=WRITER), transaction():
        return [reveal.opened(record, principal=admin).after["name"] for record in found]


def test_killed_at_any_statement_of_a_batch_it_loses_doubles_and_reorders_nothing(
    superuser: psycopg.Connection,
) -> None:
    empty_inboxes()
    written: list[str] = []
    deaths = 0
    while True:
        for tenant in LOGS:
            write(2, tenant=tenant, first=len(written))
        change_rows(deaths)
        written += [str(len(written)), str(len(written) + 1)]
        died = dying(sequencer.sweep, at_statement=deaths + 1)
        for tenant in LOGS:
            assert_whole(superuser, tenant, written)
        if not died:
            break
        deaths += 1
    # Who waits, their locks, heads, rows, log, heads, savepoints, and three moments of the commit.
    assert deaths >= 10
    empty_inboxes()
    for tenant in LOGS:
        assert look(superuser, tenant) == (0, written)
    assert names_in_the_log() == [f"Person {turn}" for turn in range(deaths + 1)]
    keys = "SELECT count(*), count(DISTINCT subject_id) FROM audit_subjectkey WHERE tenant_id = %s"
    assert superuser.execute(keys, [ACME]).fetchone() == (deaths + 1, deaths + 1)


def test_killed_at_any_statement_of_a_drain_too(superuser: psycopg.Connection) -> None:
    empty_inboxes()
    written: list[str] = []
    deaths = 0
    while True:
        write(2, tenant=ACME, first=len(written))
        written += [str(len(written)), str(len(written) + 1)]
        died = dying(lambda: sequencer.drain(ACME), at_statement=deaths + 1)
        assert_whole(superuser, ACME, written)
        if not died:
            break
        deaths += 1
    assert deaths >= 8
    assert look(superuser, ACME) == (0, written)


def test_killed_at_any_statement_the_maker_of_checkpoints_leaves_a_tree_that_fits_the_log(
    superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY_RECORDS", 1)
    empty_inboxes()
    for tenant in (GLOBEX, PLATFORM):
        checkpoints.make(tenant)
    empty_inboxes()
    deaths = 0
    while True:
        # More than a tile holds at first, so that the level above grows too.
        write(5 if deaths else 300, tenant=ACME, first=deaths * 1000)
        empty_inboxes()
        died = dying(checkpoints.make_due, at_statement=deaths + 1)
        assert verdict(ACME, limit=10).intact
        if not died:
            break
        deaths += 1
    assert deaths >= 15
    row = superuser.execute(
        "SELECT h.seq = max(c.tree_size), count(DISTINCT c.root_hash) = count(*)"
        " FROM audit_head h JOIN audit_checkpoint c USING (tenant_id) WHERE tenant_id = %s GROUP BY h.seq",
        [ACME],
    ).fetchone()
    assert row == (True, True)
    keys = superuser.execute("SELECT count(*) FROM audit_signingkey WHERE tenant_id = %s", [ACME]).fetchone()
    assert keys == (1,)
    # Whatever was signed on the way still holds.
    with ADA.here(), transaction():
        made = [Note.parse(c.note) for c in Checkpoint.objects.filter(tenant_id=ACME).order_by("tree_size")]
    assert made
    for note in made[::4]:
        assert verdict(ACME, against=note).intact
