"""A restored database under the processes of a production: gunicorn and a Celery worker refuse it, then serve it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dsar.models import DsarRequest
from kaireon.jobs import services as jobs
from kaireon.jobs.models import Job, JobState
from kaireon.tenancy.context import transaction
from tests.cast import ADA, KEYS
from tests.dsar.conftest import NUMBER, answer, file, make_customer
from tests.dsar.restored import dump, publish, restore
from tests.live import PROJECT, Answer, Worker, together, wait_until
from tests.ops.stage import Unready
from tests.servers import SUITE

PRODUCTION = {
    "ENVIRONMENT": "production",
    "ALLOWED_HOSTS": "127.0.0.1",
    "TRUSTED_PROXIES": "1",
    "PUBLIC_URL": "https://privacy.acme.example",
}


def api(site: Unready) -> Answer:
    return site.get("/customers", headers={"Authorization": f"Bearer {KEYS['ada']}"})


def check(*arguments: str) -> tuple[int, str]:
    """In a process of its own, as an operator runs it; its exit code and what it says."""
    done = subprocess.run(
        [sys.executable, "manage.py", "compliance_restore_check", *arguments],
        cwd=PROJECT,
        env=Worker(Path(), **PRODUCTION).environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def numbers(site: Unready) -> list[str]:
    return sorted(row["customerId"] for row in api(site).json()["customers"])


def job_of(request: DsarRequest) -> Job:
    with ADA.here(), transaction():
        return Job.objects.get(pk=DsarRequest.objects.values_list("job_ref", flat=True).get(pk=request.pk))


def wake(job: Job) -> None:
    """What a web process or the sweep sends to workers."""
    with ADA.here():
        jobs.wake(job)


def refusals(worker: Worker) -> int:
    return worker.log.read_text(errors="replace").count('"error_type": "NotServing"')


@pytest.mark.slow
def test_web_and_worker_refuse_a_restored_database_until_it_was_checked(db: str, tmp_path: Path) -> None:
    with ADA.here(), transaction():
        make_customer("C-99", "neighbour@example.com")
        make_customer()
    publish()
    with ADA.here():
        waiting = file("export", "C-99").request
    path = dump(db, tmp_path)
    with ADA.here():
        assert answer(file("delete", NUMBER)).outcome == "completed"
    publish()
    restore(db, path)
    # Messages of the time before went with their broker.
    SUITE.flush_redis()

    site = Unready(tmp_path / "web.log", **PRODUCTION)
    worker = Worker(tmp_path / "worker.log", "dsar-jobs", **PRODUCTION)
    with together(site, worker):
        ready = wait_until(lambda: _if(site.ask("/readyz"), says="older than what was published"), or_show=site.log)
        assert (ready.status, ready.json()["checks"]["serving"]) == (503, "failed")
        refused = api(site)
        assert (refused.status, refused.headers["Retry-After"]) == (503, "10")
        assert refused.json()["error"]["code"] == "not_serving"
        assert "compliance_restore_check" in refused.json()["error"]["message"]
        assert site.get("/admin/login/").status == 503
        # Alive all the same: nobody restarts it for that.
        assert site.ask("/healthz").status == 200

        # A message for the job that waits since before the dump reaches the worker, which leaves the job alone.
        wake(job_of(waiting))
        wait_until(lambda: refusals(worker) == 1, or_show=worker.log)
        job = job_of(waiting)
        assert (job.state, job.attempts) == (JobState.QUEUED, 0)

        code, said = check("--reason", "disk failure on the 21st", "--json")
        assert (code, _of_acme(said)["done"]) == (0, True), said
        wait_until(lambda: site.ask("/readyz").status == 200, or_show=site.log)
        # Whom the backup had again is gone again, and the others are there.
        assert numbers(site) == ["C-99"]
        wait_until(lambda: _is_done(waiting, worker), or_show=worker.log)
        assert refusals(worker) >= 1


def _if(given: Answer, *, says: str) -> Answer | None:
    """Once it was compared: until then it says that it is."""
    return given if says in given.body.decode() else None


def _of_acme(said: str) -> dict[str, Any]:
    lines = (json.loads(line) for line in said.splitlines() if line.startswith("{") and '"tenantId"' in line)
    return next(line for line in lines if line["tenantId"] == "acme")


def _is_done(request: DsarRequest, worker: Worker) -> bool:
    """The worker goes by its last verdict for a moment yet; the sweep would send another message then."""
    before = refusals(worker)
    job = job_of(request)
    if job.state == JobState.QUEUED:
        wake(job)
        wait_until(lambda: refusals(worker) > before or job_of(request).state != JobState.QUEUED, or_show=worker.log)
    return job_of(request).state == JobState.DONE
