"""The one file where the audit log hears the layers below it."""

from contextlib import suppress
from typing import Any
from uuid import UUID

from django.db.models import Model
from django.dispatch import receiver
from django.urls import reverse

from audit import events, services
from audit.tree import checkpoints
from kaireon.approvals import signals as approval_signals
from kaireon.approvals.models import ApprovalRequest, ApprovalVote
from kaireon.tenancy import signals
from kaireon.tenancy.context import PLATFORM, Actor, platform_scope, transaction
from kaireon.tenancy.middleware import BEFORE_ADMIN_REQUEST
from kaireon.tenancy.models import User
from kaireon.tenancy.principal import Principal


def drain_before_page(tenant_id: str, path: str) -> None:
    """Pages that show the log see this member's own last click. Others need not wait for a backlog."""
    home = reverse("admin:index")
    if path == home or path.startswith(f"{home}audit/"):
        services.drain(tenant_id)
    if path == reverse("admin:audit_auditrecord_evidence"):
        # A bundle holds what a checkpoint commits to. Where the log contradicts the last one, the page says so.
        with suppress(checkpoints.LogContradictsCheckpoint):
            while checkpoints.make(tenant_id):
                pass


BEFORE_ADMIN_REQUEST.append(drain_before_page)


@receiver(signals.tenants_crossed)
def tenants_crossed(*, reason: str, actor: Actor, request_id: str, **_: Any) -> None:
    with platform_scope(actor=actor, request_id=request_id), transaction():
        services.record(
            action="tenancy.cross",
            entity_type="Tenant",
            entity_id="*",
            changes={"reason": reason},
            platform=True,
        )


@receiver(signals.logged_in)
def logged_in(*, user: User, tenant_id: str, request_id: str, method: str, **_: Any) -> None:
    events.record(
        tenant_id=tenant_id,
        actor=Actor(id=str(user.pk), name=user.name, type="user"),
        request_id=request_id,
        action="auth.login",
        entity_type="User",
        entity_id=str(user.pk),
        changes={"method": method},
    )


@receiver(signals.login_failed)
def login_failed(*, reason: str, user: User | None, request_id: str, source: str = "", **_: Any) -> None:
    """Goes to the platform's log: who could not sign in is of no tenant yet. The address tried is not recorded, and
    where it was tried from only as a keyed pseudonym, so that many sources can be told from one."""
    events.record(
        tenant_id=PLATFORM,
        actor=Actor.system(),
        request_id=request_id,
        action="auth.login_failed",
        entity_type="User",
        entity_id=str(user.pk) if user else "unknown",
        changes={"reason": reason, **({"source": source} if source else {})},
    )


@receiver(signals.access_refused)
def access_refused(*, principal: Principal, reason: str, request_id: str, **_: Any) -> None:
    """Before the answer, and by itself: the refusal rolls everything else back."""
    events.record(
        tenant_id=principal.tenant_id,
        actor=principal.actor,
        request_id=request_id,
        action="access.refused",
        entity_type="Permission",
        entity_id=reason,
        changes={"role": principal.role},
    )


@receiver(signals.command_started)
def command_started(*, name: str, dry_run: bool, **_: Any) -> None:
    with transaction():
        services.record(
            action="command.run", entity_type="Command", entity_id=name, changes={"dryRun": True} if dry_run else None
        )


@receiver(signals.personal_viewed)
def personal_viewed(*, model: type[Model], ids: list[str], fields: list[str], **_: Any) -> None:
    """One person's page is a record of that person; a list is one of all whom it showed."""
    services.record(
        action="personal.view",
        entity_type=model.__name__,
        entity_id=ids[0] if len(ids) == 1 else "*",
        changes={"fields": fields} if len(ids) == 1 else {"fields": fields, "ids": ids},
    )


@receiver(signals.dead_letter_handled)
def dead_letter_handled(*, verb: str, letter_id: UUID, queue: str, topic: str, **_: Any) -> None:
    services.record(
        action=verb,
        entity_type="DeadLetter",
        entity_id=str(letter_id),
        entity_name=topic,
        changes={"queue": queue},
    )


@receiver(signals.job_cancelled)
def job_cancelled(*, job: Any, **_: Any) -> None:
    services.record(action="job.cancel", entity_type="Job", entity_id=str(job.pk), entity_name=job.type)


@receiver(signals.job_retried)
def job_retried(*, job: Any, **_: Any) -> None:
    services.record(action="job.retry", entity_type="Job", entity_id=str(job.pk), entity_name=job.type)


@receiver(approval_signals.changing)
def approval_changing(*, action: str, entity: ApprovalRequest | ApprovalVote, **_: Any) -> None:
    services.action(action, entity=entity)
