"""Answering an opt-out: from here on nobody contacts the subject, and what they had granted is withdrawn."""

from uuid import UUID

from dsar.models import DsarRequest, Outcome, Status
from dsar.requests import no_contact, outcomes, services, subjects
from kaireon.jobs.runner import JobError, JobRun
from kaireon.lib import clock
from kaireon.tenancy.context import requires_transaction, transaction

COMPLETED_VERB = "dsar.opt_out.completed"


def process_opt_out(run: JobRun) -> None:
    """Answer the opt-out of a job: one transaction, however often the worker dies. Opens its own."""
    request_id = UUID(run.payload["request_id"])
    with transaction():
        if services.start(request_id=request_id, now=clock.now()) is None:
            run.finish()
            return
    try:
        with transaction():
            counts = _opt_out(request_id)
            run.finish(counts)
    except subjects.AmbiguousSubject as e:
        raise JobError("ambiguous_subject", permanent=True) from e


@requires_transaction
def _opt_out(request_id: UUID) -> dict[str, int]:
    now = clock.now()
    customer = no_contact.locked_customer(DsarRequest.objects.get(pk=request_id))
    request = DsarRequest.objects.select_for_update().get(pk=request_id)
    if request.status == Status.COMPLETED:
        # Withdrawn or rejected meanwhile.
        return {}
    counts = no_contact.end(request, customer)
    outcomes.answer(request, outcome=Outcome.COMPLETED if counts else Outcome.NO_DATA, verb=COMPLETED_VERB, now=now)
    return counts
