"""The whole of `make run`, from an empty folder to nothing left running."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import expect

from kaireon.local.folder import PROJECT, free_port
from kaireon.local.server import command_line
from tests.browser.chrome import chrome

KEYS = {
    "url",
    "opsUrl",
    "databaseUrl",
    "ownerDatabaseUrl",
    "superuserDatabaseUrl",
    "redisUrl",
    "cronSecret",
    "schedulerServiceKey",
    "tenants",
}


def eventually(happens: Callable[[], bool], *, within: float) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if happens():
            return True
        time.sleep(0.1)
    return False


class Launcher:
    """`python -m kaireon.local run` in a folder of its own."""

    def __init__(self, local: Path) -> None:
        self.local = local
        given = {k: v for k, v in os.environ.items() if not k.endswith(("_URL", "_KEY", "_SECRET", "_KEYS", "_ROOT"))}
        environment = {k: v for k, v in given.items() if k not in {"ENVIRONMENT", "MAKELEVEL", "API_KEY_PEPPER"}}
        environment |= {"LOCAL_DIR": str(local), "PORT": str(free_port()), "OPS_PORT": str(free_port())}
        # All of the demo takes as long to load as the rest together.
        environment["DEMO_EVERY"] = "200"
        # What is configured wrong is said, and stops nothing else.
        environment["SIEM_BACKEND"] = "sumo"
        local.parent.mkdir(exist_ok=True)
        self.output = local.with_suffix(".out")
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kaireon.local", "run"],
                env=environment,
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_ready(self) -> dict[str, Any]:
        def said_so() -> bool:
            assert self.process.poll() is None, self.output.read_text()
            return "Ctrl-C stops all of it." in self.output.read_text()

        assert eventually(said_so, within=170), self.output.read_text()
        demo: dict[str, Any] = json.loads((self.local / "demo.json").read_text())
        return demo

    def pids(self) -> dict[str, int]:
        processes = json.loads((self.local / "processes.json").read_text())
        return {name: int(pid) for pid, name in processes.items()} | {
            "postgres": int((self.local / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0]),
            "redis": int((self.local / "redis" / "server.pid").read_text()),
        }

    def end(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.wait(timeout=60)
        self.output.unlink()


def left_of(running: dict[str, int]) -> dict[str, list[str]]:
    """The processes that are still there, by name, with their command lines."""
    return {name: line for name, pid in running.items() if (line := command_line(pid))}


def status(url: str, key: str = "") -> int:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as e:
        return e.code
    except OSError:
        return 0


def everybody_signs_in(printed: str, demo: dict[str, Any]) -> None:
    """In a real browser, each with the line that was printed for them; they see their tenant's home page."""
    logins = re.findall(r"^ {4}(\S+@\S+) +(\S+)  (\w+)$", printed, re.MULTILINE)
    assert len(set(logins)) == len({user["email"] for tenant in demo["tenants"] for user in tenant["users"]})
    with chrome() as browser:
        for email, password, role in sorted(set(logins)):
            context = browser.new_context(base_url=demo["url"])
            page = context.new_page()
            page.goto("/admin/")
            page.get_by_label("E-mail").fill(email)
            page.get_by_label("Password").fill(password)
            page.get_by_role("button", name="Log in").click()
            expect(page.get_by_role("heading", name="Needs attention")).to_be_visible()
            expect(page.locator(".k-tenant-role")).to_have_text(role)
            context.close()


@pytest.mark.slow
def test_one_command_runs_everything_repairs_it_and_takes_it_away(tmp_path: Path) -> None:
    local = tmp_path / "local"
    launcher = Launcher(local)
    try:
        demo = launcher.wait_until_ready()
        assert set(demo) == KEYS
        assert (local / "demo.json").stat().st_mode & 0o777 == 0o600
        assert len(demo["tenants"]) >= 2
        assert all({"email", "password", "role"} <= set(user) for t in demo["tenants"] for user in t["users"])
        customers = f"{demo['url']}/api/v1/customers?limit=1"
        assert status(f"{demo['opsUrl']}/readyz") == 200
        assert status(customers) == 401
        assert all(status(customers, tenant["apiKey"]) == 200 for tenant in demo["tenants"])
        with psycopg.connect(demo["databaseUrl"]) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("kaireon_app",)

        # Everything comes back by itself, each with another pid.
        before = launcher.pids()
        assert set(before) == {"web", "worker", "beat", "sequencer", "postgres", "redis"}
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)

        def all_new() -> bool:
            try:
                now = launcher.pids()
            except (FileNotFoundError, ValueError):
                return False
            return set(now) == set(before) and not set(now.values()) & set(before.values())

        assert eventually(all_new, within=30), launcher.output.read_text()
        assert eventually(lambda: status(customers, demo["tenants"][0]["apiKey"]) == 200, within=60)

        # Killed, the launcher takes everything along; the next start resumes with the data and the same logins.
        running = launcher.pids()
        launcher.end(signal.SIGKILL)
        assert eventually(lambda: not left_of(running), within=60), left_of(running)
        launcher = Launcher(local)
        again = launcher.wait_until_ready()
        assert again["tenants"] == demo["tenants"]
        assert again["databaseUrl"] == demo["databaseUrl"]
        everybody_signs_in(launcher.output.read_text(), again)
        assert "SIEM_BACKEND is one of" in launcher.output.read_text()

        running = launcher.pids()
        launcher.end(signal.SIGINT)
        assert launcher.process.returncode == 0
        assert eventually(lambda: not left_of(running), within=2), left_of(running)
    finally:
        launcher.process.kill()
