"""A prune that ends anywhere removed all or nothing, and goes on when it is called again."""

from collections.abc import Callable
from threading import Thread
from typing import Any

import psycopg
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import OperationalError, connections

from audit.exports import bundle
from audit.pruning import archive
from audit.pruning import prune as pruning
from audit.tree import signing
from tests.audit.log import records, verdict
from tests.audit.pruning.old_log import applied, approved
from tests.audit.pruning.old_log import tombstones as stones
from tests.cast import ACME

pytestmark = pytest.mark.usefixtures("db")


class Died(BaseException):
    """The process ended here."""


def die(*_: object, **__: object) -> Any:
    raise Died


def half_written(monkeypatch: pytest.MonkeyPatch) -> None:
    save = default_storage.save

    def cut(name: str, content: Any) -> str:
        save(name, ContentFile(content.read()[:-1000]))
        raise Died

    monkeypatch.setattr(default_storage, "save", cut)


def after(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    whole = getattr(owner, name)

    def then_die(*args: Any, **more: Any) -> Any:
        whole(*args, **more)
        raise Died

    monkeypatch.setattr(owner, name, then_die)


CRASHES: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "before the archive": lambda m: m.setattr(archive, "keep", die),
    "while the archive is made": lambda m: m.setattr(bundle, "_proofs", die),
    "in the middle of the object": half_written,
    "before it is checked": lambda m: m.setattr(archive, "checked", die),
    "after it is checked": lambda m: after(m, archive, "keep"),
    "before the signature": lambda m: m.setattr(signing, "signer", die),
    "before the removal": lambda m: m.setattr(pruning, "_remove", die),
    "after the removal": lambda m: after(m, pruning, "_remove"),
}


@pytest.mark.parametrize("where", CRASHES)
def test_a_crash_leaves_all_or_nothing_and_the_next_call_goes_on(
    size: int, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    request = approved()
    length = len(records(ACME))
    with monkeypatch.context() as crashing:
        CRASHES[where](crashing)
        with pytest.raises(Died):
            applied(request)
    is_done = where == "after the removal"
    assert len(stones()) == is_done
    # With the record that says so.
    assert len(records(ACME)) == (length - size + 1 if is_done else length)
    assert verdict(ACME).intact

    assert applied(request).again is is_done
    assert records(ACME)[0].seq == size + 1
    assert len(records(ACME, action="audit_log.prune")) == 1
    assert verdict(ACME).intact


def test_the_server_ends_the_session_in_the_middle_of_the_removal(size: int, superuser: psycopg.Connection) -> None:
    request = approved()
    length = len(records(ACME))
    # The last statement of the function waits for this, with tombstone and removal before it.
    superuser.autocommit = False
    superuser.execute("LOCK TABLE audit_inbox IN ACCESS EXCLUSIVE MODE")
    failed: list[Exception] = []

    def run() -> None:
        try:
            applied(request)
        except OperationalError as error:
            failed.append(error)
        finally:
            connections.close_all()

    worker = Thread(target=run)
    worker.start()
    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%audit_prune%'"
    while not (found := superuser.execute(waiting).fetchone()):
        assert worker.is_alive()
        superuser.execute("SELECT pg_stat_clear_snapshot()")
    superuser.execute("SELECT pg_terminate_backend(%s)", found)
    worker.join()
    superuser.rollback()

    assert failed
    assert stones() == []
    assert len(records(ACME)) == length
    assert verdict(ACME).intact
    assert applied(request).tombstone.last_seq == size
