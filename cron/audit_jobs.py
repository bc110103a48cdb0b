"""The jobs of checkpoints, for the log of no tenant and for each tenant's: audit-publish and audit-witness."""

import logging
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from audit.tree import publication
from audit.witness import witnesses as witness
from audit.witness.client import WitnessAway
from audit.witness.witnesses import WitnessRefused
from cron.work import Work
from dsar.journal import writing as journal
from kaireon.api.breakers import BreakerOpen
from kaireon.api.written_once import WrittenOtherwise
from kaireon.tenancy.context import platform_scope, transaction

logger = logging.getLogger("kaireon.audit.witness")


class NotWitnessed(RuntimeError):
    """A witness did not sign the platform's checkpoint. The message says who and why."""


def publish_platform(work: Work) -> Mapping[str, Any]:
    """`{platform: size or null}`"""
    with platform_scope(actor=work.actor, request_id=str(work.run_id)):
        return {"platform": _published(work)}


def publish_tenant(work: Work) -> tuple[Mapping[str, Any], Sequence[str]]:
    """`{published: size or null}`; before it the journal of erasures, which a checkpoint states the length of."""
    errors: list[str] = []
    if not work.dry_run:
        try:
            journal.write()
            journal.send()
        except (*publication.FAILURES, WrittenOtherwise) as error:
            errors.append(f"journal: {type(error).__name__}")
    return {"published": _published(work)}, errors


def _published(work: Work) -> int | None:
    """The size of the checkpoint that left now, or would; None when the newest already had."""
    if work.dry_run:
        with transaction():
            checkpoint = publication.unpublished()
    else:
        checkpoint = publication.publish()
    return checkpoint.tree_size if checkpoint else None


def witness_platform(work: Work) -> Mapping[str, Any]:
    """`{platform: how many witnesses signed now, or would}`. Raises NotWitnessed."""
    with platform_scope(actor=work.actor, request_id=str(work.run_id)):
        signed, refusals = _witnessed(work)
    if refusals:
        raise NotWitnessed("; ".join(refusals))
    return {"platform": signed}


def witness_tenant(work: Work) -> tuple[Mapping[str, Any], Sequence[str]]:
    """`{witnessed: how many signed now, or would}` and, of those that did not, who and why."""
    signed, refusals = _witnessed(work)
    return {"witnessed": signed}, refusals


def _witnessed(work: Work) -> tuple[int, list[str]]:
    checkpoint, asked = witness.waiting()
    if checkpoint is None or work.dry_run:
        return len(asked), []
    refusals: list[str] = []
    for one in asked:
        if one.url in _away(work.run_id):
            refusals.append(f"{one.key.name}: left_alone")
            continue
        try:
            witness.ask(checkpoint, one)
        except (WitnessAway, WitnessRefused) as error:
            refusals.append(f"{one.key.name}: {error.code}")
            if isinstance(error, WitnessAway):
                _away(work.run_id).add(one.url)
            logger.log(
                logging.ERROR if isinstance(error, WitnessRefused) else logging.WARNING,
                "not_witnessed",
                extra={"witness": one.key.name, "error_type": type(error).__name__, "reason": error.code},
            )
        except BreakerOpen:
            refusals.append(f"{one.key.name}: left_alone")
    return len(asked) - len(refusals), refusals


@lru_cache(maxsize=4)
def _away(run_id: UUID) -> set[str]:
    """The witnesses that did not answer in this run: waiting for each once more by log would starve the others."""
    return set()
