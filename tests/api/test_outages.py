"""The database or Redis goes away in the middle: a clear 503, nothing half done, and recovery without a restart."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kaireon.local.redis import EmbeddedRedis
from tests.cast import ADA, KEYS, PASSWORD
from tests.live import Answer, Web
from tests.ops.stage import database_away, redis_of_its_own


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    with redis_of_its_own(tmp_path) as server:
        yield server


@pytest.fixture
def web(db: str, own_redis: EmbeddedRedis, tmp_path: Path) -> Iterator[Web]:
    with Web(tmp_path / "web.log", REDIS_URL=own_redis.url()) as server:
        yield server


def assert_unavailable(response: Answer) -> None:
    assert response.status == 503, response.body
    error = response.json()["error"]
    assert error["code"] == "unavailable"
    assert error["status"] == 503
    assert error["requestId"] == response.headers["X-Request-Id"]
    assert int(response.headers["Retry-After"]) > 0


def test_without_the_database_nothing_is_served_and_it_comes_back(web: Web, db: str, superuser_url: str) -> None:
    key = {"Authorization": f"Bearer {KEYS['ada']}"}
    session = web.post("/auth/login", {"email": ADA.email, "password": PASSWORD}).json()["accessToken"]
    bearer = {"Authorization": f"Bearer {session}"}
    assert web.get("/audit-logs", headers=key).status == 200

    with database_away(superuser_url, db):
        for headers in (key, bearer):
            for _ in range(2):
                assert_unavailable(web.get("/auth/me", headers=headers))
                assert_unavailable(web.get("/audit-logs", headers=headers))
        assert_unavailable(web.post("/api-keys", {"name": "lost"}, headers=key))
        assert_unavailable(web.post("/auth/login", {"email": ADA.email, "password": PASSWORD}))

    for headers in (key, bearer):
        assert web.get("/audit-logs", headers=headers).status == 200
    assert [k["name"] for k in web.get("/api-keys", headers=key).json()["apiKeys"]].count("lost") == 0


def test_without_redis_limited_doors_stay_shut_and_open_again(web: Web, own_redis: EmbeddedRedis) -> None:
    key = {"Authorization": f"Bearer {KEYS['ada']}"}
    credentials = {"email": ADA.email, "password": PASSWORD}
    ask = {"requestType": "export", "subjectId": "c-1"}

    own_redis.stop()
    assert_unavailable(web.post("/auth/login", credentials))
    assert_unavailable(web.post("/dsar", ask, headers=key))
    # What Redis has no part in goes on.
    assert web.get("/auth/me", headers=key).status == 200
    assert web.get("/audit-logs/verify", headers=key).json()["intact"] is True
    assert web.get("/dsar", headers=key).json()["requests"] == []

    own_redis.start()
    assert web.post("/auth/login", credentials).status == 200
    assert web.post("/dsar", ask, headers=key).status == 202


def test_the_admin_says_so_too(web: Web, own_redis: EmbeddedRedis) -> None:
    assert web.get("/admin/login/").status == 200
    own_redis.stop()
    response = web.get("/admin/", headers={"Cookie": "sessionid=" + "x" * 32})
    assert response.status == 503
    own_redis.start()
    assert web.get("/admin/login/").status == 200
