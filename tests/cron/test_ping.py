"""The monitor hears of every run, and can do nothing to it."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cron import checks, jobs, ping, runner
from cron.models import Trigger
from cron.work import Job
from kaireon.api import breakers

ENDED = threading.Event()


class Monitor(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.heard.append(self.path)
        self.server.answer(self)

    def log_message(self, *_):
        pass


def say(status, **headers):
    def answer(handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def drip(handler):
    """A header's byte at a time, for ever: no single wait is long."""
    try:
        while not ENDED.wait(0.02):
            handler.wfile.write(b"H")
            handler.wfile.flush()
    except OSError:
        handler.close_connection = True


def half(handler):
    handler.wfile.write(b"HTTP/1.1 200 O")
    handler.close_connection = True


@pytest.fixture
def monitor(settings):
    """A receiver on loopback, which this installation may call."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Monitor)
    server.daemon_threads = True
    server.heard, server.answer = [], say(200)
    ENDED.clear()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}"
    settings.MONITOR_PING_URL = f"{server.url}/key/{{job}}/{{event}}"
    settings.MONITOR_PING_PRIVATE = True
    yield server
    ENDED.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def job(monkeypatch, db):
    def put(function=lambda work: {}):
        monkeypatch.setitem(jobs.JOBS, "tidy", Job(name="tidy", help="Tidies.", for_all=function, unscheduled="test"))

    return put


def troubles(caplog):
    return [r.error_type for r in caplog.records if r.getMessage() == "monitor_unreachable"]


def test_it_hears_of_the_start_and_the_end(monitor, job):
    job()
    assert runner.run_job("tidy", trigger=Trigger.BEAT).ok
    job(lambda work: 1 / 0)
    assert not runner.run_job("tidy", trigger=Trigger.BEAT).ok
    assert monitor.heard == [f"/key/tidy/{event}" for event in ("start", "success", "start", "fail")]


def test_it_hears_nothing_of_a_run_that_was_skipped(monitor, job):
    job()
    from cron.locks import only_run

    with only_run("tidy"):
        assert runner.run_job("tidy", trigger=Trigger.HTTP).skipped
    assert monitor.heard == []


def test_a_private_address_is_not_contacted_unless_that_is_allowed(monitor, settings, caplog):
    settings.MONITOR_PING_PRIVATE = False
    # Leave for the webhooks of tenants is none for the monitor, and the other way round.
    settings.ALLOW_PRIVATE_DESTINATIONS = True
    for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"):
        settings.MONITOR_PING_URL = f"http://{host}:{monitor.server_port}/{{job}}"
        ping.ping("tidy", "start")
    assert monitor.heard == []
    assert set(troubles(caplog)) <= {"address_refused", "name_not_resolved"}
    assert troubles(caplog).count("address_refused") >= 3


def test_a_redirect_is_not_followed(monitor, caplog):
    monitor.answer = say(302, Location=f"{monitor.url}/elsewhere")
    ping.ping("tidy", "start")
    assert monitor.heard == ["/key/tidy/start"]
    assert troubles(caplog) == ["http_302"]


@pytest.mark.parametrize(("answer", "trouble"), [(say(500), "http_500"), (say(404), "http_404"), (half, "Remote")])
def test_what_it_answers_does_not_matter(monitor, job, caplog, answer, trouble):
    job()
    monitor.answer = answer
    assert runner.run_job("tidy", trigger=Trigger.BEAT).ok
    assert [kind.startswith(trouble) for kind in troubles(caplog)] == [True, True]
    assert not [r for r in caplog.records if "/key/" in r.getMessage() + str(vars(r))]


def test_one_that_drips_is_left(monitor, monkeypatch, caplog):
    monkeypatch.setattr(ping, "SECONDS", 0.2)
    monitor.answer = drip
    ping.ping("tidy", "start")
    # The thread notices for itself, too: it does not hang on.
    for _ in range(500):
        if troubles(caplog):
            break
        time.sleep(0.01)
    assert troubles(caplog) == ["timeout"]


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "nonsense",
        "http://",
        "http://127.0.0.1:1/",
        "http://[::bad/",
        "http://host:99999/",
        "http://host:x/",
        "http://hö st/",
        "https://\x00/",
        "http://nobody.invalid/",
    ],
)
def test_an_address_that_is_none_stops_no_job(job, settings, caplog, url):
    job()
    settings.MONITOR_PING_URL, settings.MONITOR_PING_PRIVATE = url, True
    assert runner.run_job("tidy", trigger=Trigger.BEAT).ok
    assert len(troubles(caplog)) == 2


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("", []),
        ("https://monitor.example.com/ping/{job}/{event}", []),
        ("http://10.0.0.7:8000/{job}", []),
        ("monitor.example.com", ["kaireon.E032"]),
        ("file:///etc/passwd", ["kaireon.E032"]),
        ("http://", ["kaireon.E032"]),
        ("http://host:99999/", ["kaireon.E032"]),
        ("http://[::bad/", ["kaireon.E032"]),
    ],
)
def test_the_check_tells_of_an_address_that_is_none(settings, url, found):
    settings.MONITOR_PING_URL = url
    assert [message.id for message in checks.monitor_is_an_address(None)] == found


def test_one_that_fails_is_left_alone(monitor, job, settings, caplog):
    settings.CIRCUIT_BREAKER_ENABLED = True
    caplog.set_level("INFO")
    monitor.answer = say(500)
    job()
    for _ in range(4):
        assert runner.run_job("tidy", trigger=Trigger.BEAT).ok
    assert len(monitor.heard) == 5
    assert troubles(caplog) == ["http_500"] * 5
    assert len([r for r in caplog.records if r.getMessage() == "monitor_left_alone"]) == 3
    assert breakers.states()["monitor"] == 2
