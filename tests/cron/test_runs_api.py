"""GET /api/v1/admin/jobs: what the runs page shows, for machines."""

import pytest

from cron import beat_rows, runner
from cron.jobs import JOBS
from cron.models import Trigger
from tests.cast import KEYS

URL = "/api/v1/admin/jobs"


@pytest.fixture
def get(http):
    def got(who="ada", **query):
        return http.get(URL, query, HTTP_AUTHORIZATION=f"Bearer {KEYS[who]}")

    return got


def test_it_tells_the_state_of_every_job_and_each_run(get, run):
    beat_rows.install()
    body = get().json()
    jobs = {job["name"]: job for job in body["jobs"]}
    assert set(jobs) == set(JOBS)
    assert (jobs["cleanup"]["state"], jobs["cleanup"]["schedule"]) == ("down", "30 4 * * *")
    assert (jobs["dlq-replay"]["state"], jobs["dlq-replay"]["scheduleFrom"]) == ("new", "default")
    (shown,) = body["runs"]
    assert (shown["job"], shown["trigger"], shown["state"], shown["seconds"]) == ("cleanup", "http", "failed", 2.5)
    assert (body["total"], body["page"], body["limit"]) == (1, 1, 50)
    assert shown["outcome"] == {"deleted": {"interactionHistory": 41}, "errors": [], "ok": True, "seconds": 0.2}


def test_nobody_learns_of_another_tenants_outcome(get, run):
    text = get("mallory").content.decode()
    assert "OperationalError" in text
    assert not {word for word in ("acme", "interactionHistory", "Ada", "1 of 2") if word in text}


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"job": "cleanup"}, 2),
        ({"job": "dlq-replay"}, 0),
        ({"state": "failed"}, 1),
        ({"state": "succeeded", "trigger": "command"}, 1),
        ({"trigger": "beat"}, 0),
        ({"limit": "1", "page": "2"}, 1),
        ({"limit": "1000"}, 2),
    ],
)
def test_runs_are_filtered_and_paged(get, run, query, count):
    runner.run_job("cleanup", trigger=Trigger.COMMAND)
    body = get(**query).json()
    assert len(body["runs"]) == count
    assert body["limit"] <= 200


@pytest.mark.parametrize(
    "query", [{"job": "nonsense"}, {"state": "down"}, {"trigger": ""}, {"limit": "x"}, {"page": "0"}, {"job": "\x00"}]
)
def test_what_cannot_be_is_400_by_name(get, query):
    answer = get(**query)
    assert answer.status_code == 400
    assert next(iter(query)) in answer.json()["error"]["message"]


@pytest.mark.parametrize("who", ["ed", "vi", "aud"])
def test_it_is_for_admins(get, who):
    assert get(who).status_code == 403
