"""What happened to a request, in the words of its page: by the verb of the record, and by the state that it brought."""

from dsar.models import LetterState, NoticeState, State

TITLES: dict[str, str] = {
    "dsar.create": "Filed",
    "dsar.identity.code_sent": "A code was mailed to the subject",
    "dsar.identity.wrong_code": "A wrong code was given",
    "dsar.identity.proved": "Identity proven",
    "dsar.duplicate.earlier": "An earlier receipt counts, that of a duplicate",
    "dsar.duplicate.answered": "Answered with another request",
    "dsar.duplicate.follows": "Waits for another request now",
    "dsar.duplicate.takes_over": "Takes the place of the one it waited for",
    "dsar.assign": "Assigned",
    "dsar.extend": "Time extended",
    "dsar.pause": "Clock paused",
    "dsar.resume": "Clock running again",
    "dsar.start": "Work begun",
    "dsar.retry": "Tried again",
    "dsar.review": "Put before an officer",
    "dsar.release": "Package released",
    "dsar.complete": "Completed by an officer",
    "dsar.reject": "Rejected",
    "dsar.withdraw": "Withdrawn",
    "dsar.cancel": "Cancelled",
    "dsar.shred": "The subject's name taken out",
    "dsar.export.completed": "Package ready",
    "dsar.export.downloaded": "Package downloaded",
    "dsar.export.failed": "Making the package failed",
    "dsar.opt_out.completed": "Opt-out carried out",
    "dsar.opt_out.failed": "Opt-out failed",
    "dsar.erasure.rows_erased": "Rows erased",
    "dsar.erasure.deferred": "Deferred: the rest is kept for now",
    "dsar.erasure.resume": "Erasure goes on",
    "dsar.erasure.completed": "Erasure completed",
    "dsar.erasure.failed": "Erasure failed",
    "dsar.letter.written": "Letter written",
    "dsar.letter.address_kept": "Address kept for the last letter",
    "dsar.letter.read": "Letter read",
    "dsar.letter.later": "The mail server said: later",
    "dsar.letter.sent": "Letter sent",
    "dsar.letter.failed": "Letter could not be sent",
    "dsar.letter.retry": "Letter sent again",
    "dsar.letter.sent_otherwise": "Letter sent by other means",
    "dsar.recipient.notice": "A recipient of the data is to be told",
    "dsar.recipient.told": "A recipient of the data was told",
    "dsar.recipient.failed": "A recipient of the data could not be told",
    "dsar.recipient.not_told": "Written down why a recipient is not told",
    # Changes that no verb names.
    "create": "Written down",
    "update": "Changed",
    "delete": "Removed",
}
_STATES: dict[str, dict[str, str]] = {
    "DsarRequest": dict(State.choices),
    "Letter": dict(LetterState.choices),
    "RecipientNotice": dict(NoticeState.choices),
}


def title_of(action: str) -> str:
    """A verb that is not there is shown without its dots: the log may be older than this table."""
    return TITLES.get(action) or action.rpartition(".")[2].replace("_", " ").capitalize()


def state_of(entity: str, state: str | None) -> str:
    """The label of the state that a record brought; empty when it brought none."""
    return _STATES.get(entity, {}).get(state, state) if state else ""
