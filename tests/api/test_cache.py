"""The cache's rules: a life, a prefix, no giants, apart from sessions and broker."""

import json
import subprocess
import sys

import pytest
import redis
from django.test import Client

from kaireon import env
from kaireon.api import cache
from tests.caller import nobody, with_key
from tests.cast import PASSWORD
from tests.live import PROJECT


def raw(database: int) -> redis.Redis:
    return redis.Redis.from_url(env.redis_url(database))


def test_it_keeps_a_value_for_its_time_under_its_prefix():
    assert cache.put(cache.DECISION, "c-1", {"offer": 7}, tenant_id="acme")
    assert cache.get(cache.DECISION, "c-1", tenant_id="acme") == {"offer": 7}
    assert cache.get(cache.DECISION, "c-1", tenant_id="globex") is None
    assert [key.decode() for key in raw(1).scan_iter()] == ["decision:acme:c-1"]
    assert 0 < raw(1).ttl("decision:acme:c-1") <= 60
    assert raw(0).dbsize() == raw(2).dbsize() == 0


@pytest.mark.parametrize(("kind", "seconds"), [(cache.DECISION, 60), (cache.SCORING, 30), (cache.FEATURE, 300)])
def test_no_kind_outlives_its_time(kind: cache.Kind, seconds: int):
    assert kind.seconds == seconds
    for life in (0, -1, seconds + 1):
        with pytest.raises(cache.LifeRefused):
            cache.put(kind, "k", 1, tenant_id="acme", seconds=life)


def test_over_a_megabyte_is_refused():
    assert cache.put(cache.FEATURE, "k", "x" * 999_998, tenant_id="acme")
    with pytest.raises(cache.ValueTooLarge):
        cache.put(cache.FEATURE, "k", "x" * 999_999, tenant_id="acme")


def test_without_redis_it_is_a_miss(monkeypatch: pytest.MonkeyPatch):
    away = redis.Redis.from_url("redis://127.0.0.1:1")
    monkeypatch.setattr(cache, "client", lambda: away)
    assert cache.put(cache.FEATURE, "k", 1, tenant_id="acme") is False
    assert cache.get(cache.FEATURE, "k", tenant_id="acme") is None


def test_every_key_in_the_cache_has_a_life(db: str):
    nobody().post("/auth/login", {"email": "ada@acme.example", "password": "wrong"})
    with_key("ada").post("/dsar", {"requestType": "export", "subjectId": "c-1"})
    keys = list(raw(1).scan_iter())
    assert keys
    assert {key: raw(1).ttl(key) for key in keys if raw(1).ttl(key) < 0} == {}


def test_a_session_has_its_database_its_prefix_and_its_time(db: str):
    answer = Client().post("/admin/login/", {"username": "ada@acme.example", "password": PASSWORD})
    assert answer.status_code == 302
    (key,) = raw(0).scan_iter()
    assert key.decode() == f"session:{answer.cookies['sessionid'].value}"
    assert 0 < raw(0).ttl(key) <= 24 * 3600
    assert not [name for name in raw(1).scan_iter() if name.startswith(b"session:")]


LOOKS = """
import django; django.setup()
from kaireon.api import cache
cache.get(cache.FEATURE, "ada@acme.example", tenant_id="acme")
cache.put(cache.FEATURE, "ada@acme.example", 1, tenant_id="acme")
assert cache.get(cache.FEATURE, "ada@acme.example", tenant_id="acme") == 1
"""


def test_a_miss_is_a_line_in_the_log_and_names_nobody():
    ran = subprocess.run([sys.executable, "-c", LOOKS], cwd=PROJECT, check=True, capture_output=True, text=True)
    said = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [(line["event"], line["prefix"]) for line in said] == [("cache_miss", "feature:")]
    assert "ada" not in ran.stderr
