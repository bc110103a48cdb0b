"""A request that failed is still owed an answer: retention goes on waiting for it, and its page says so."""

from django.test import Client

from compliance.holding import pauses
from dsar.models import DsarRequest, Status
from dsar.requests import services
from kaireon.jobs import runner
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.cast import ADA, PASSWORD
from tests.compliance.rows import customer


def page_of(request):
    client = Client()
    client.post("/admin/login/", {"username": ADA.email, "password": PASSWORD})
    return client.get(f"/admin/dsar/dsarrequest/{request.pk}/change/").content.decode()


def test_a_failed_request_goes_on_pausing_until_it_is_tried_again_and_answered(db):
    customer("c-1")
    with ADA.here():
        with transaction():
            filed = services.create_request(request_type="export", subject_id="c-1", actor=ADA.actor, now=clock.now())
            request = filed.request
            job = Job.objects.get(pk=filed.job.pk)
            job.error = "storage_away"
            services.gave_up(job)
        with transaction():
            assert DsarRequest.objects.get().status == Status.FAILED
            assert pauses.paused_since(request.pk) == request.requested_at
    assert "It failed and is still open" in page_of(request)
    with ADA.here():
        with transaction():
            again = services.retry_request(request=request, now=clock.now())
        text = page_of(request)
        assert "Retention leaves this person alone since" in text
        assert "It failed" not in text
        runner.run(job_id=again.job.pk)
        with transaction():
            assert DsarRequest.objects.get().status == Status.COMPLETED
            assert pauses.paused_since(request.pk) is None
    assert "Retention leaves this person alone" not in page_of(request)
