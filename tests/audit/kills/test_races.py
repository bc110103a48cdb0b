"""Writers, sequencers and PostgreSQL killed while they race."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audit import services
from kaireon.lib import clock
from kaireon.tenancy.context import PLATFORM
from tests.audit.kills.cluster import Cluster
from tests.audit.kills.race import Race
from tests.cast import PASSWORD
from tests.live import Web, wait_until

LOGIN = "/auth/login"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    with django_db_blocker.unblock():
        made.start()
        yield made
    made.postgres.stop()


def test_sixteen_writers_and_two_sequencers_that_are_killed_leave_a_whole_log(
    db: str, superuser: psycopg.Connection, tmp_path: Path
) -> None:
    race = Race(tmp_path, seed=1)
    race.run(*[race.kill_a_sequencer, race.kill_a_writer, race.kill_a_sequencer] * 5)

    race.check(superuser)


def test_postgresql_killed_under_them_leaves_a_whole_log_too(cluster: Cluster, tmp_path: Path) -> None:
    race = Race(tmp_path, seed=2)
    outage = [race.kill_a_writer, race.kill_a_sequencer, cluster.start_again, race.written_more]
    with cluster.connected():
        race.run(
            *[race.kill_a_sequencer, lambda: cluster.kill(signal.SIGKILL), *outage],
            *[race.kill_a_sequencer, lambda: cluster.kill(signal.SIGQUIT), *outage],
        )
    with cluster.connected() as root:
        race.check(root)


def test_sign_ins_tried_while_postgresql_is_stopped_are_recorded_when_it_is_back(
    cluster: Cluster, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    right = {"email": "ada@acme.example", "password": PASSWORD}
    wrong = {**right, "password": "wrong"}
    with Web(tmp_path / "web.log", **cluster.urls.environment(), AUDIT_SPOOL_DIR=str(spool)) as web:
        assert web.post(LOGIN, wrong).status == 401
        cluster.postgres.stop()
        stopped = clock.now()
        for given in (wrong, right):
            assert web.post(LOGIN, given).status == 503
        started = clock.now()
        assert (spool / "current.spool").read_bytes().count(b"\n") == 2
        cluster.start_again()
        # The web process brings them in by itself.
        wait_until(lambda: not any(name.suffix in (".spool", ".taken") for name in spool.iterdir()), or_show=web.log)
        assert web.post(LOGIN, right).status == 200
    with cluster.connected() as root:
        services.drain(PLATFORM)
        found = root.execute(
            "SELECT changes, \"timestamp\" FROM audit_record WHERE action = 'auth.login_failed' ORDER BY seq"
        ).fetchall()
    # Where it came from, under a key.
    assert re.fullmatch("[0-9a-f]{16}", found[0][0].pop("source"))
    assert [changes for changes, _ in found] == [
        {"reason": "wrong_password"},
        *[{"reason": "unavailable", "late": True}] * 2,
    ]
    assert all(stopped <= at <= started for _, at in found[1:])
