"""Trying a failed request again, in the admin."""

from django.http import HttpRequest, HttpResponse
from unfold.enums import ActionVariant

from dsar.models import DsarRequest, Status, Step
from dsar.requests import progress_page, services
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import TenantModelAdmin, verb
from kaireon.tenancy.roles import Permission


class RetryVerbs(TenantModelAdmin[DsarRequest]):
    """The button of a failed request's page."""

    @verb(
        permission=Permission.MANAGE_DSAR,
        description="Try again",
        icon="replay",
        url_path="again",
        variant=ActionVariant.PRIMARY,
    )
    def again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do() -> str:
            filed = services.retry_request(request=row, now=clock.now())
            self.after_commit(request, lambda: services.wake(filed))
            return "The request is queued again."

        return self.confirm(
            request,
            row,
            do,
            title="Try the request again",
            lead=_lead(row),
            refusals={services.RequestNotFailed: "This request has not failed, or was queued again already."},
            submit="Queue it again",
        )


def _lead(row: DsarRequest) -> str:
    step = progress_page.page_of(row)["goes_on_at"]
    if step is None:
        return "A worker takes it up from the beginning. What was already done stays done."
    return (
        f"The erasure goes on with the step that failed: {Step(step).label.lower()}. What was done before stays done."
    )


def fitting(row: DsarRequest) -> set[str]:
    return {"again"} if row.status == Status.FAILED else set()
