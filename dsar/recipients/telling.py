"""Who was told of a request, for the subject, who may ask for it (Article 19, second sentence)."""

from dataclasses import dataclass

from dsar.models import DsarRequest, NoticeState, RecipientNotice
from kaireon.tenancy.context import requires_transaction


@dataclass(frozen=True, kw_only=True)
class Told:
    """The recipients of the data by name, told or not. `article` says where the law wants them told."""

    article: str = ""
    told: tuple[str, ...] = ()
    being_told: tuple[str, ...] = ()
    not_told: tuple[str, ...] = ()


@requires_transaction
def of(request: DsarRequest) -> Told:
    """By the last notice to each."""
    last: dict[str, RecipientNotice] = {}
    for notice in RecipientNotice.objects.of(request).select_related("recipient"):
        last[notice.recipient.name] = notice

    def named(*states: str) -> tuple[str, ...]:
        return tuple(sorted(name for name, notice in last.items() if notice.state in states))

    return Told(
        article=next((notice.article for notice in last.values() if notice.article), ""),
        told=named(NoticeState.TOLD),
        # One that could not be reached yet is still to be told.
        being_told=named(NoticeState.WAITING, NoticeState.FAILED),
        not_told=named(NoticeState.NOT_TOLD),
    )
