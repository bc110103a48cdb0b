"""The job of the audit log: audit-publish, for the log of no tenant and for each tenant's."""

from collections.abc import Mapping, Sequence
from typing import Any

from audit import publication
from cron.work import Work
from kaireon.tenancy.context import platform_scope, transaction


def publish_platform(work: Work) -> Mapping[str, Any]:
    """`{platform: size or null}`"""
    with platform_scope(actor=work.actor, request_id=str(work.run_id)):
        return {"platform": _published(work)}


def publish_tenant(work: Work) -> tuple[Mapping[str, Any], Sequence[str]]:
    """`{published: size or null}`"""
    return {"published": _published(work)}, []


def _published(work: Work) -> int | None:
    """The size of the checkpoint that left now, or would; None when the newest already had."""
    if work.dry_run:
        with transaction():
            checkpoint = publication.unpublished()
    else:
        checkpoint = publication.publish()
    return checkpoint.tree_size if checkpoint else None
