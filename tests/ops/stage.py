"""The product on real ports, asked from outside: the operations port of a gunicorn, and what its processes log."""

import http.client
import json
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from kaireon.local.folder import free_port
from tests.live import Answer, Web


class Site(Web):
    """The web server with its operations port."""

    def __init__(self, log: Path, **environment: str) -> None:
        self.ops_port = free_port()
        super().__init__(log, **{"OPS_PORT": str(self.ops_port), **environment})

    def ask(self, path: str, **headers: str) -> Answer:
        """GET on the operations port."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ops_port, timeout=60)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def figures(self) -> dict[str, float]:
        """Every sample of /metrics: `name{label="value"}`, labels in order, to its value."""
        answer = self.ask("/metrics")
        assert answer.status == 200, answer.body
        return {
            name(sample.name, sample.labels): sample.value
            for family in text_string_to_metric_families(answer.body.decode())
            for sample in family.samples
        }


def name(metric: str, labels: dict[str, str]) -> str:
    inside = ",".join(f'{key}="{labels[key]}"' for key in sorted(labels))
    return f"{metric}{{{inside}}}" if inside else metric


def lines(log: Path, event: str) -> list[dict[str, Any]]:
    """The JSON lines of that event which a process wrote."""
    found = []
    for line in log.read_text(errors="replace").splitlines():
        if line.startswith("{"):
            said = json.loads(line)
            if said["event"] == event:
                found.append(said)
    return found
