"""Files of interactions that were exported before: the person is taken out of them once their rows are gone."""

from uuid import UUID

from customers.exporting import exporting, striking
from dsar.erasing import contents, plans
from dsar.models import DsarRequest
from kaireon.jobs.runner import JobError, JobRun
from kaireon.lib import clock
from kaireon.tenancy.context import requires_transaction, transaction


class FilesBusy(JobError):
    """An export writes the tenant's files at this moment. Tried again."""

    CODE = "export_under_way"

    def __init__(self) -> None:
        super().__init__(self.CODE)


def strike(run: JobRun, request_id: UUID) -> None:
    """Write the files anew without the request's people; the old ones are removed with its other objects.

    Raises FilesBusy, and what the storage raises; the next attempt goes on.
    """
    with transaction():
        request = DsarRequest.objects.get(pk=request_id)
        plan = plans.kept_of(request)
        refs = {*contents.refs_of(contents.search_of(request)), *(UUID(ref) for ref in (plan.refs if plan else []))}
        if request.customer_ref:
            refs.add(request.customer_ref)
    try:
        striking.strike(refs, reference=request_id, now=clock.now(), before_each=run.check)
    except exporting.ExportUnderWay as e:
        raise FilesBusy from e


@requires_transaction
def counts(request_id: UUID) -> dict[str, dict[str, int]]:
    """`{exports: {files, rows}}` that somebody was taken out of so far; nothing when nobody was."""
    struck = striking.struck_of(request_id)
    return {"exports": {"files": struck.files, "rows": struck.rows}} if struck.rows else {}
