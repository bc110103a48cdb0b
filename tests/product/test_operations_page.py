"""docs/operations.md: every metric, event and job there is, and none that there is not."""

import re

from cron.jobs import JOBS
from tests.product.test_ledger import PROJECT, source

PAGE = (PROJECT / "docs" / "operations.md").read_text()
METRIC = re.compile(r'(?:_gauge|_value|Counter|CounterMetricFamily|Histogram|Gauge)\(\s*"(\w+)"')
EVENT = re.compile(r'logger\.\w+\((?:[^"]{0,120}?,)?\s*"([a-z_]+)"')
NAMED = re.compile(r"`(\w+)`")


def table(heading: str) -> list[str]:
    """The first cells of the tables under a heading."""
    part = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [line.split(" | ")[0] for line in part.splitlines() if line.startswith("| `")]


def named(heading: str) -> set[str]:
    return {name for cell in table(heading) for name in NAMED.findall(cell)}


def test_it_names_the_metrics() -> None:
    # The name of a counter's samples is that of its declaration, and _total.
    declared = {name.removesuffix("_total") for name in METRIC.findall(source())}
    assert len(declared) > 30
    assert {name.removesuffix("_total") for name in named("Metrics")} == declared


def test_it_names_the_events() -> None:
    logged = set(EVENT.findall(source()))
    assert len(logged) > 50
    assert named("Log") == logged


def test_it_says_when_the_jobs_run() -> None:
    rows = dict(re.findall(r"^\| `([\w-]+)` \| `([^`]+)` \|", PAGE, re.M))
    assert {name: rows.get(name) for name in JOBS} == {name: job.schedule for name, job in JOBS.items()}
