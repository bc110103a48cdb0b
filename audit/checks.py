"""System checks of what leaves the log: where checkpoints go, who witnesses them, whom we witness."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from audit.tree.notes import BadKey
from audit.witness import ourselves
from audit.witness import witnesses as witness
from kaireon.outbox.destinations import DestinationRefused, check_webhook


@register
def checkpoints_have_an_address(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if not settings.AUDIT_PUBLISH_URL:
        return []
    try:
        check_webhook({"url": settings.AUDIT_PUBLISH_URL}, settings.AUDIT_PUBLISH_SECRET)
    except DestinationRefused as e:
        return [
            Error(
                f"AUDIT_PUBLISH_URL cannot be published to: {e}",
                hint="Write it as https://…, and set AUDIT_PUBLISH_SECRET to 16 characters or more.",
                id="kaireon.E040",
            )
        ]
    return []


@register
def witnesses_can_be_read(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    hint = "Write each as its URL, a space and its verifier key (name+id+base64), with commas between them."
    try:
        found = witness.configured()
    except BadKey as e:
        return [Error(f"AUDIT_WITNESSES cannot be read: {e}.", hint=hint, id="kaireon.E041")]
    schemes = ("https://", "http://") if settings.AUDIT_WITNESS_PRIVATE else ("https://",)
    if not all(one.url.startswith(schemes) for one in found):
        return [Error("AUDIT_WITNESSES: a witness's URL must begin with https://.", hint=hint, id="kaireon.E041")]
    if len({one.key.key_id for one in found}) < len(found):
        return [Error("AUDIT_WITNESSES names a witness twice.", hint=hint, id="kaireon.E041")]
    return []


@register
def witnessing_is_whole(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    try:
        ourselves.configured()
    except BadKey as e:
        return [
            Error(
                f"This installation cannot be a witness: {e}.",
                hint="manage.py audit_witness_key makes WITNESS_KEY; WITNESS_LOGS are verifier keys of logs.",
                id="kaireon.E042",
            )
        ]
    return []


@register
def exports_are_kept(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if settings.AUDIT_EXPORT_DAYS >= 1:
        return []
    return [
        Error("AUDIT_EXPORT_DAYS is less than 1.", hint="Set AUDIT_EXPORT_DAYS to a number of days.", id="kaireon.E043")
    ]
