"""What the README tells a newcomer to type works as it stands there."""

import json
import re
import subprocess
from pathlib import Path

from tests.cast import ACME, KEYS
from tests.live import PROJECT, Web

README = (PROJECT / "README.md").read_text()


def test_it_shows_pictures_and_pages_that_exist() -> None:
    paths = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)

    assert {f"docs/img/{name}.png" for name in ("home", "request", "hold", "audit")} <= set(paths)
    assert [path for path in paths if not (PROJECT / path).exists()] == []


def test_its_tour_runs(web: Web, tmp_path: Path) -> None:
    [tour] = [block for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) if "curl" in block]
    local = tmp_path / ".local"
    local.mkdir()
    demo = {"url": f"http://127.0.0.1:{web.port}", "tenants": [{"id": ACME, "apiKey": KEYS["ada"]}]}
    (local / "demo.json").write_text(json.dumps(demo))

    # Each answer on a line of its own; an error of HTTP stops the tour.
    script = "set -e\n" + re.sub(r"^curl ", "curl --fail --silent --write-out '\\\\n' ", tour, flags=re.MULTILINE)
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)

    answers, _, checked = done.stdout.partition("\n\n")
    customers, logs, verdict = (json.loads(line) for line in answers.splitlines())
    assert customers["limit"] == 3
    assert len(logs["logs"]) == 3
    assert verdict["intact"] is True
    assert checked.startswith("INTACT")
