"""Every environment variable the product reads, in one place.

`.env.example` explains each. A file named by KAIREON_ENV_FILE (default `.local/env`, which `make run` writes) fills
in what the environment does not say; the environment always wins.
"""

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import environ

BASE_DIR = Path(__file__).resolve().parent.parent


env = environ.Env()

_env_file = Path(os.environ.get("KAIREON_ENV_FILE", BASE_DIR / ".local" / "env"))
if _env_file.is_file():
    env.read_env(_env_file)


class NotANumber(Exception):
    """A variable that counts something does not say how many. The message names it and what it takes."""


def whole_number(name: str, *, default: int) -> int:
    """What a variable says; empty is as if unset. Raises NotANumber."""
    text = env.str(name, default="").strip()
    try:
        return int(text) if text else default
    except ValueError:
        # `from None`: what was set instead may have been meant for a secret's variable.
        raise NotANumber(
            f"{name} is not a whole number: set it to one, such as {default}, or unset it for that."
        ) from None


ENVIRONMENT: str = env.str("ENVIRONMENT", default="production")
DEBUG: bool = env.bool("DEBUG", default=False)
SECRET_KEY: str = env.str("SECRET_KEY", default="")
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])
SECURE_COOKIES: bool = env.bool("SECURE_COOKIES", default=ENVIRONMENT == "production")
TRUSTED_PROXIES: int = whole_number("TRUSTED_PROXIES", default=0)
LOG_LEVEL: str = env.str("LOG_LEVEL", default="INFO")

PORT: int = whole_number("PORT", default=8000)
OPS_PORT: int = whole_number("OPS_PORT", default=9090)

DATABASE_URL: str = env.str("DATABASE_URL", default="")
OWNER_DATABASE_URL: str = env.str("OWNER_DATABASE_URL", default="")
SEQUENCER_DATABASE_URL: str = env.str("SEQUENCER_DATABASE_URL", default="")
REDIS_URL: str = env.str("REDIS_URL", default="")

SINGLE_TENANT_MODE: bool = env.bool("SINGLE_TENANT_MODE", default=False)

API_KEY_PEPPER: str = env.str("API_KEY_PEPPER", default="")
AUDIT_ORIGIN: str = env.str("AUDIT_ORIGIN", default="kaireon.local")
AUDIT_PUBLISH_URL: str = env.str("AUDIT_PUBLISH_URL", default="")
AUDIT_PUBLISH_SECRET: str = env.str("AUDIT_PUBLISH_SECRET", default="")
AUDIT_WITNESSES: list[str] = env.list("AUDIT_WITNESSES", default=[])
AUDIT_WITNESS_PRIVATE: bool = env.bool("AUDIT_WITNESS_PRIVATE", default=False)
AUDIT_EXPORT_DAYS: int = whole_number("AUDIT_EXPORT_DAYS", default=7)
REPORT_DAYS: int = whole_number("REPORT_DAYS", default=400)
SIEM_BACKEND: str = env.str("SIEM_BACKEND", default="").strip()
SIEM_ENDPOINT: str = env.str("SIEM_ENDPOINT", default="").strip()
SIEM_API_KEY: str = env.str("SIEM_API_KEY", default="").strip()
SIEM_INDEX: str = env.str("SIEM_INDEX", default="").strip()
SIEM_SOURCETYPE: str = env.str("SIEM_SOURCETYPE", default="").strip()
SIEM_EVENT_BYTES: int = whole_number("SIEM_EVENT_BYTES", default=0)
SIEM_SEARCH_ENDPOINT: str = env.str("SIEM_SEARCH_ENDPOINT", default="").strip()
SIEM_SEARCH_KEY: str = env.str("SIEM_SEARCH_KEY", default="").strip()
SIEM_GZIP: bool = env.bool("SIEM_GZIP", default=True)
SIEM_PRIVATE: bool = env.bool("SIEM_PRIVATE", default=False)
WITNESS_NAME: str = env.str("WITNESS_NAME", default="")
WITNESS_KEY: str = env.str("WITNESS_KEY", default="")
WITNESS_LOGS: list[str] = env.list("WITNESS_LOGS", default=[])
AUDIT_SPOOL_DIR: str = env.str("AUDIT_SPOOL_DIR", default=str(BASE_DIR / ".local" / "spool"))
AUDIT_SPOOL_BYTES: int = whole_number("AUDIT_SPOOL_BYTES", default=64 * 1024 * 1024)
SEALING_KEYS: str = env.str("SEALING_KEYS", default="")
CRON_SECRET: str = env.str("CRON_SECRET", default="")
CRON_TOKEN: str = env.str("CRON_TOKEN", default="")
MONITOR_PING_URL: str = env.str("MONITOR_PING_URL", default="")
MONITOR_PING_PRIVATE: bool = env.bool("MONITOR_PING_PRIVATE", default=False)
EXPORT_INTERACTIONS_GZIP: bool = env.bool("EXPORT_INTERACTIONS_GZIP", default=False)
EXPORT_INTERACTIONS_FORMAT: str = env.str("EXPORT_INTERACTIONS_FORMAT", default="").strip() or "ndjson"
EXPORT_INTERACTIONS_DAYS: int = whole_number("EXPORT_INTERACTIONS_DAYS", default=0)
MAINTENANCE_DATABASE_URL: str = env.str("MAINTENANCE_DATABASE_URL", default="")
CERTIFICATE_ENDPOINTS: list[str] = env.list("CERTIFICATE_ENDPOINTS", default=[])
CERTIFICATE_FILES: list[str] = env.list("CERTIFICATE_FILES", default=[])
CERTIFICATE_PRIVATE: bool = env.bool("CERTIFICATE_PRIVATE", default=False)
DISK_CAPACITY_BYTES: int = whole_number("DISK_CAPACITY_BYTES", default=0)
DISK_PATH: str = env.str("DISK_PATH", default="").strip()
# CRON_<JOB>_SCHEDULE, _ENABLED and _DEADLINE as they are written: cron/environment.py knows the jobs and reads them.
CRON_JOBS: dict[str, str] = {
    name: text for name, text in os.environ.items() if re.fullmatch(r"CRON_.+_(SCHEDULE|ENABLED|DEADLINE)", name)
}
HOLD_COOLING_OFF_HOURS: int = whole_number("HOLD_COOLING_OFF_HOURS", default=24)
HOLD_REMINDER_DAYS: int = whole_number("HOLD_REMINDER_DAYS", default=7)
PUBLIC_URL: str = env.str("PUBLIC_URL", default="").strip().rstrip("/")
DSAR_ERASURE_WINDOW_HOURS: int = whole_number("DSAR_ERASURE_WINDOW_HOURS", default=0)
CONFIG_DIR: str = env.str("CONFIG_DIR", default="").strip()
JOB_RUN_DAYS: int = whole_number("JOB_RUN_DAYS", default=90)
OPERATOR_TENANT: str = env.str("OPERATOR_TENANT", default="")
# Keys of internal services; kaireon/tenancy/internal_services.py says what each may call.
SCHEDULER_SERVICE_API_KEY: str = env.str("SCHEDULER_SERVICE_API_KEY", default="")
MCP_SERVICE_API_KEY: str = env.str("MCP_SERVICE_API_KEY", default="")
EVENTS_SERVICE_API_KEY: str = env.str("EVENTS_SERVICE_API_KEY", default="")
HUB_SERVICE_API_KEY: str = env.str("HUB_SERVICE_API_KEY", default="")
# From where on the scan of the audit logs calls it too much: see docs/detection.md.
DETECTION_ODD_HOURS: str = env.str("DETECTION_ODD_HOURS", default="").strip() or "22-6"
DETECTION_RELEASE_PURGE_MINUTES: int = whole_number("DETECTION_RELEASE_PURGE_MINUTES", default=60)
DETECTION_ERASURES: int = whole_number("DETECTION_ERASURES", default=20)
DETECTION_AUDIT_VIEWS: int = whole_number("DETECTION_AUDIT_VIEWS", default=100)
DETECTION_REFUSALS: int = whole_number("DETECTION_REFUSALS", default=10)
DETECTION_LOGIN_SOURCES: int = whole_number("DETECTION_LOGIN_SOURCES", default=5)
SENTRY_DSN: str = env.str("SENTRY_DSN", default="").strip()

# Switches: see docs/operations.md.
SKIP_JOB_TYPES: list[str] = env.list("SKIP_JOB_TYPES", default=[])
BLOCKED_ROUTES: list[str] = env.list("BLOCKED_ROUTES", default=[])
CIRCUIT_BREAKER_ENABLED: bool = env.bool("CIRCUIT_BREAKER_ENABLED", default=False)
AUTH_FALLBACK_ENABLED: bool = env.bool("AUTH_FALLBACK_ENABLED", default=False)

# Read by prometheus_client itself, as soon as something counts: it wants a folder that is there, and takes one that is
# named by nothing for the working directory.
PROMETHEUS_MULTIPROC_DIR: str = env.str("PROMETHEUS_MULTIPROC_DIR", default="")
if PROMETHEUS_MULTIPROC_DIR:
    Path(PROMETHEUS_MULTIPROC_DIR).mkdir(mode=0o700, parents=True, exist_ok=True)
else:
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)

# How long work whose worker stopped renewing it is left alone before another one takes it over.
JOB_LEASE_SECONDS: int = whole_number("JOB_LEASE_SECONDS", default=30)
OUTBOX_LEASE_SECONDS: int = whole_number("OUTBOX_LEASE_SECONDS", default=60)
# The first pause before what failed is tried again.
RETRY_SECONDS: int = whole_number("RETRY_SECONDS", default=5)

# Between the decision to keep a class of data for less long and its effect; 0: none.
RETENTION_COOLING_OFF_HOURS: int = whole_number("RETENTION_COOLING_OFF_HOURS", default=24)
# per_class | strictest: see docs/retention.md.
DSAR_PURGE_MODE: str = env.str("DSAR_PURGE_MODE", default="").strip() or "per_class"
DSAR_PACKAGE_DAYS: int = whole_number("DSAR_PACKAGE_DAYS", default=30)
OBJECT_ROOT: str = env.str("OBJECT_ROOT", default=str(BASE_DIR / ".local" / "objects"))
OBJECT_STORAGE: str = env.str("OBJECT_STORAGE", default="file")
OBJECT_BUCKET: str = env.str("OBJECT_BUCKET", default="")
OBJECT_ENDPOINT_URL: str = env.str("OBJECT_ENDPOINT_URL", default="")
ALLOW_PRIVATE_DESTINATIONS: bool = env.bool("ALLOW_PRIVATE_DESTINATIONS", default=False)
EMAIL: dict[str, Any] = env.email_url("EMAIL_URL", default="smtp://localhost:25")
EMAIL_FROM: str = env.str("EMAIL_FROM", default="kaireon@localhost")


def redis_url(database: int) -> str:
    """REDIS_URL with another database number: sessions 0, cache and limits 1, broker 2, streams 3."""
    return urlunsplit(urlsplit(REDIS_URL)._replace(path=f"/{database}"))
