"""The jobs of the outbox, in one tenant: outbox-reaper, dlq-replay, dlq-archive."""

from collections.abc import Mapping, Sequence
from typing import Any

from cron.work import Work
from kaireon.outbox import archive as archives
from kaireon.outbox import dead_letters, services
from kaireon.outbox.models import DeadLetter, Message
from kaireon.tenancy import context
from kaireon.tenancy.context import scope, transaction


def reap(work: Work) -> tuple[Mapping[str, Any], Sequence[str]]:
    """`{returned, deadLettered, forgotten}`; a dry run counts what is stuck."""
    with _as_actor(work), transaction():
        if work.dry_run:
            return {"stuck": Message.objects.stuck(work.now).count()}, []
        returned, buried = services.reap(now=work.now)
        forgotten = services.forget(now=work.now)
    if returned:
        services.send_wake(context.tenant_id())
    return {"returned": returned, "deadLettered": buried, "forgotten": forgotten}, []


def replay(work: Work) -> tuple[Mapping[str, Any], Sequence[str]]:
    """`{replayed, skipped}`"""
    with _as_actor(work), transaction():
        if work.dry_run:
            return {"due": DeadLetter.objects.replayable(work.now, dead_letters.MOST_REPLAYS).count()}, []
        handled = dead_letters.replay_due(now=work.now)
    if handled.done:
        services.send_wake(context.tenant_id())
    return {"replayed": len(handled.done), "skipped": len(handled.skipped)}, []


def archive(work: Work) -> tuple[Mapping[str, Any], Sequence[str]]:
    """`{archived, files}`"""
    with _as_actor(work):
        if work.dry_run:
            with transaction():
                return {"waiting": DeadLetter.objects.unarchived().count()}, []
        count = 0
        files: list[str] = []
        for written in archives.archive_waiting(now=work.now, to=archives.place()):
            count += written.letters
            files.append(written.name)
            if work.budget.spent:
                break
    return {"archived": count, "files": files}, []


def _as_actor(work: Work) -> Any:
    return scope(tenant_id=context.tenant_id(), actor=work.actor, request_id=context.current().request_id)
