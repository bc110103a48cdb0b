"""Reports and the log that they count: what is recorded before one is in it."""

import pytest

import audit
from audit import sequencer
from audit.sequencer import LogStandsStill
from compliance.reporting import runs
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.cast import ADA
from tests.reporting.conftest import (
    ALL,
    again,
    content,
    days,
    give_up,
    kept,
    look,
    made,
    make,
    work,
)

pytestmark = pytest.mark.usefixtures("db")


def test_what_is_not_in_the_log_yet_is_in_the_report() -> None:
    """Records stand in the inbox until somebody sequences them: whoever counts them sees to that first."""
    now = clock.now()
    with ADA.here(), transaction():
        audit.record(action="personal.view", entity_type="Customer", entity_id="x")
        asked = runs.request(
            template="personal_data_access",
            formats=["csv"],
            first=now.date(),
            last=now.date(),
            time_zone="UTC",
            may=ALL,
            actor=ADA.actor,
            now=now,
        )
    work(asked.run)
    assert b'"By kind","Figure","Read","","1"' in content(asked.run)


def test_a_log_that_stands_still_is_not_reported_on(monkeypatch: pytest.MonkeyPatch) -> None:
    make()
    look(days(1))
    [run] = made()

    def stands(tenant: str, *, wholly: bool = False) -> int:
        if wholly:
            raise LogStandsStill(tenant)
        return 0

    monkeypatch.setattr(sequencer, "drain", stands)
    assert give_up(run).state == "failed"
    monkeypatch.undo()
    assert (again(run).error, kept()) == ("log_stands_still", [])
