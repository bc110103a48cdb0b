"""What is counted as it happens, in every process. What can be looked up instead is in kaireon/ops/gauges.py.

Labels come from our own code and tables, never from a request: nothing personal, and a bounded number of series.
"""

from prometheus_client import Counter, Histogram

HTTP_SECONDS = Histogram(
    "kaireon_http_request_duration_seconds",
    "Time to answer a request, by route pattern.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
HTTP_RESPONSES = Counter("http_responses_total", "Answers, by status and route pattern.", ["status", "route"])

AUTH_ATTEMPTS = Counter("kaireon_auth_attempts", "Attempts to authenticate, by whatever credential.")
AUTH_FAILURES = Counter("kaireon_auth_failures", "Attempts that were refused, by reason.", ["reason"])

JOBS_ENQUEUED = Counter("kaireon_worker_jobs_enqueued", "Background jobs written down, by queue.", ["queue"])
SECURITY_SIGNALS = Counter(
    "kaireon_security_signals", "Signals that the scan of the log raised, by kind and severity.", ["kind", "severity"]
)
ROWS_PURGED = Counter("kaireon_rows_purged", "Rows deleted by retention, by entity of the catalogue.", ["entity"])

_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


def answered(*, method: str, route: str, status: int, seconds: float) -> None:
    """Count one answer of the public port."""
    HTTP_SECONDS.labels(method if method in _METHODS else "other", route).observe(seconds)
    HTTP_RESPONSES.labels(str(status), route).inc()
