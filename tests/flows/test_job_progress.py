"""A pipeline's background job tells how far the run has come, too."""

import pytest

from kaireon.jobs import runner
from kaireon.jobs.models import Job
from kaireon.tenancy.context import transaction
from tests.flows.conftest import begin, make, put, work


def test_the_job_of_a_run_says_how_far_it_has_come(acme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "TELL_SECONDS", 0.0)
    put("in/people.csv", "customer_id,email\nC-1,a@x.example\n")
    read = {"node": "load_file", "params": {"file": "in/people.csv", "format": "csv"}}
    missing = {"node": "load_file", "params": {"file": "in/nobody.csv", "format": "csv"}}
    write = {"node": "write_file", "params": {"file": "out/{run}.csv", "format": "csv"}, "needs": ["read"]}
    steps = [{"name": "read", **read}, {"name": "write", **write}, {"name": "again", **missing}]
    steps.append({"name": "more", **write, "needs": ["again"]})
    run = work(begin(make(steps)))
    with transaction():
        assert Job.objects.get(pk=run.job_ref).percent == 50
