"""Django settings, from the environment (see kaireon/env.py and .env.example)."""

from datetime import timedelta
from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy

from kaireon import env

BASE_DIR = env.BASE_DIR
ENVIRONMENT = env.ENVIRONMENT
DEBUG = env.DEBUG
SECRET_KEY = env.SECRET_KEY
ALLOWED_HOSTS = env.ALLOWED_HOSTS
CSRF_TRUSTED_ORIGINS = env.CSRF_TRUSTED_ORIGINS
PRODUCTION = ENVIRONMENT == "production"

SINGLE_TENANT_MODE = env.SINGLE_TENANT_MODE
API_KEY_PEPPER = env.API_KEY_PEPPER
AUDIT_ORIGIN = env.AUDIT_ORIGIN
AUDIT_PUBLISH_URL = env.AUDIT_PUBLISH_URL
AUDIT_PUBLISH_SECRET = env.AUDIT_PUBLISH_SECRET
AUDIT_WITNESSES = env.AUDIT_WITNESSES
AUDIT_WITNESS_PRIVATE = env.AUDIT_WITNESS_PRIVATE
AUDIT_EXPORT_DAYS = env.AUDIT_EXPORT_DAYS
REPORT_DAYS = env.REPORT_DAYS
SIEM_BACKEND = env.SIEM_BACKEND
SIEM_ENDPOINT = env.SIEM_ENDPOINT
SIEM_API_KEY = env.SIEM_API_KEY
SIEM_INDEX = env.SIEM_INDEX
SIEM_SOURCETYPE = env.SIEM_SOURCETYPE
SIEM_EVENT_BYTES = env.SIEM_EVENT_BYTES
SIEM_SEARCH_ENDPOINT = env.SIEM_SEARCH_ENDPOINT
SIEM_SEARCH_KEY = env.SIEM_SEARCH_KEY
SIEM_GZIP = env.SIEM_GZIP
SIEM_PRIVATE = env.SIEM_PRIVATE
WITNESS_NAME = env.WITNESS_NAME
WITNESS_KEY = env.WITNESS_KEY
WITNESS_LOGS = env.WITNESS_LOGS
SEALING_KEYS = env.SEALING_KEYS
AUDIT_SPOOL_DIR = env.AUDIT_SPOOL_DIR
AUDIT_SPOOL_BYTES = env.AUDIT_SPOOL_BYTES
CRON_SECRET = env.CRON_SECRET
SCHEDULER_SERVICE_API_KEY = env.SCHEDULER_SERVICE_API_KEY
MCP_SERVICE_API_KEY = env.MCP_SERVICE_API_KEY
EVENTS_SERVICE_API_KEY = env.EVENTS_SERVICE_API_KEY
HUB_SERVICE_API_KEY = env.HUB_SERVICE_API_KEY
DETECTION_ODD_HOURS = env.DETECTION_ODD_HOURS
DETECTION_RELEASE_PURGE_MINUTES = env.DETECTION_RELEASE_PURGE_MINUTES
DETECTION_ERASURES = env.DETECTION_ERASURES
DETECTION_AUDIT_VIEWS = env.DETECTION_AUDIT_VIEWS
DETECTION_REFUSALS = env.DETECTION_REFUSALS
DETECTION_LOGIN_SOURCES = env.DETECTION_LOGIN_SOURCES
SENTRY_DSN = env.SENTRY_DSN
CRON_TOKEN = env.CRON_TOKEN
MONITOR_PING_URL = env.MONITOR_PING_URL
MONITOR_PING_PRIVATE = env.MONITOR_PING_PRIVATE
EXPORT_INTERACTIONS_GZIP = env.EXPORT_INTERACTIONS_GZIP
EXPORT_INTERACTIONS_FORMAT = env.EXPORT_INTERACTIONS_FORMAT
EXPORT_INTERACTIONS_DAYS = env.EXPORT_INTERACTIONS_DAYS
CERTIFICATE_ENDPOINTS = env.CERTIFICATE_ENDPOINTS
CERTIFICATE_FILES = env.CERTIFICATE_FILES
CERTIFICATE_PRIVATE = env.CERTIFICATE_PRIVATE
DISK_CAPACITY_BYTES = env.DISK_CAPACITY_BYTES
DISK_PATH = env.DISK_PATH
HOLD_COOLING_OFF_HOURS = env.HOLD_COOLING_OFF_HOURS
HOLD_REMINDER_DAYS = env.HOLD_REMINDER_DAYS
PUBLIC_URL = env.PUBLIC_URL
DSAR_ERASURE_WINDOW_HOURS = env.DSAR_ERASURE_WINDOW_HOURS
JOB_RUN_DAYS = env.JOB_RUN_DAYS
CONFIG_DIR = env.CONFIG_DIR
OPERATOR_TENANT = env.OPERATOR_TENANT
RETENTION_COOLING_OFF_HOURS = env.RETENTION_COOLING_OFF_HOURS
DSAR_PURGE_MODE = env.DSAR_PURGE_MODE
DSAR_PACKAGE_DAYS = env.DSAR_PACKAGE_DAYS
TRUSTED_PROXIES = env.TRUSTED_PROXIES
OPS_PORT = env.OPS_PORT
SKIP_JOB_TYPES = env.SKIP_JOB_TYPES
JOB_LEASE_SECONDS = env.JOB_LEASE_SECONDS
OUTBOX_LEASE_SECONDS = env.OUTBOX_LEASE_SECONDS
RETRY_SECONDS = env.RETRY_SECONDS
BLOCKED_ROUTES = env.BLOCKED_ROUTES
CIRCUIT_BREAKER_ENABLED = env.CIRCUIT_BREAKER_ENABLED
AUTH_FALLBACK_ENABLED = env.AUTH_FALLBACK_ENABLED

INSTALLED_APPS = [
    # Without its own admin site: ours is set in kaireon/apps.py.
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "kaireon.apps.KaireonAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_celery_beat",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "kaireon.tenancy",
    "kaireon.jobs",
    "kaireon.outbox",
    "kaireon.flows",
    "kaireon.approvals",
    "audit",
    "customers",
    "compliance",
    "dsar",
    "cron",
    "kaireon.ops",
]

MIDDLEWARE = [
    "kaireon.ops.middleware.OpsPortMiddleware",
    "kaireon.api.middleware.RequestIdMiddleware",
    "kaireon.api.content_security.ContentSecurityMiddleware",
    "kaireon.api.blocked_routes.BlockedRoutesMiddleware",
    "kaireon.tenancy.serving_middleware.ServingMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "kaireon.tenancy.middleware.AdminTenantMiddleware",
]

ROOT_URLCONF = "kaireon.urls"
WSGI_APPLICATION = "kaireon.wsgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


def _database(url: str, name: str) -> dict[str, Any]:
    """A psycopg connection that gives up after 5 s instead of queueing; its timeouts are set on the role."""
    if not url:
        return {"ENGINE": "django.db.backends.postgresql", "NAME": f"{name}-url-is-not-set"}
    config = env.env.db_url_config(url)
    # What the address says itself, such as sslmode, wins.
    options = {"connect_timeout": 5, "application_name": f"kaireon-{name}", **config.get("OPTIONS", {})}
    return {
        **config,
        "ENGINE": "django.db.backends.postgresql",
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }


DATABASES = {
    "default": _database(env.DATABASE_URL, "app"),
    "owner": _database(env.OWNER_DATABASE_URL, "owner"),
    "sequencer": _database(env.SEQUENCER_DATABASE_URL, "sequencer"),
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Sessions, cache and broker keep apart: a flush of the cache signs nobody out and loses no message.
CACHES = {
    alias: {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": env.redis_url(database),
        "OPTIONS": {"socket_connect_timeout": 2, "socket_timeout": 5},
    }
    for alias, database in (("sessions", 0), ("default", 1))
}
CACHES["sessions"]["KEY_FUNCTION"] = "kaireon.tenancy.admin_sessions.plain_key"
SESSION_ENGINE = "kaireon.tenancy.admin_sessions"
SESSION_CACHE_ALIAS = "sessions"
SESSION_COOKIE_AGE = 12 * 3600

AUTH_USER_MODEL = "tenancy.User"
AUTHENTICATION_BACKENDS = ["kaireon.tenancy.backends.LockingBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in (
        ("UserAttributeSimilarityValidator", {"user_attributes": ("email", "name")}),
        ("MinimumLengthValidator", {"min_length": 12}),
        ("CommonPasswordValidator", {}),
        ("NumericPasswordValidator", {}),
    )
]
LOGIN_URL = reverse_lazy("admin:login")

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.SECURE_COOKIES
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_HTTPONLY = True
SECURE_HSTS_SECONDS = 31536000 if env.SECURE_COOKIES else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = env.SECURE_COOKIES
SECURE_SSL_REDIRECT = False  # The proxy in front terminates TLS and redirects; see kaireon/tenancy/checks.py.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.TRUSTED_PROXIES else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "kaireon.tenancy.admin_errors.csrf_failure"
SILENCED_SYSTEM_CHECKS = ["security.W008"]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
FORMAT_MODULE_PATH = "kaireon.formats"

STATIC_URL = "static/"
# Served from where the packages keep them; there is nothing to collect.
STATIC_ROOT = None
STATICFILES_DIRS = [BASE_DIR / "kaireon" / "static"]
WHITENOISE_USE_FINDERS = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024


def _object_storage() -> dict[str, Any]:
    """A folder, or a bucket whose credentials boto3 finds itself (AWS_ACCESS_KEY_ID and its kin, or the machine's)."""
    if env.OBJECT_STORAGE != "s3":
        return {"BACKEND": "kaireon.api.storage.GuardedFolder", "OPTIONS": {"location": env.OBJECT_ROOT}}
    from botocore.config import Config

    return {
        "BACKEND": "kaireon.api.buckets.GuardedBucket",
        "OPTIONS": {
            "bucket_name": env.OBJECT_BUCKET,
            "endpoint_url": env.OBJECT_ENDPOINT_URL or None,
            "file_overwrite": False,
            # What is read lies on disk beyond this, not in memory.
            "max_memory_size": 8 * 1024 * 1024,
            "default_acl": None,
            "client_config": Config(connect_timeout=5, read_timeout=10, retries={"max_attempts": 2}),
        },
    }


STORAGES = {
    "default": _object_storage(),
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# What leaves the house.
ALLOW_PRIVATE_DESTINATIONS = env.ALLOW_PRIVATE_DESTINATIONS
EMAIL_BACKEND = env.EMAIL["EMAIL_BACKEND"]
EMAIL_HOST = env.EMAIL.get("EMAIL_HOST") or "localhost"
EMAIL_PORT = env.EMAIL.get("EMAIL_PORT") or 25
EMAIL_HOST_USER = env.EMAIL.get("EMAIL_HOST_USER") or ""
EMAIL_HOST_PASSWORD = env.EMAIL.get("EMAIL_HOST_PASSWORD") or ""
EMAIL_USE_TLS = bool(env.EMAIL.get("EMAIL_USE_TLS"))
EMAIL_USE_SSL = bool(env.EMAIL.get("EMAIL_USE_SSL"))
# With filemail: alone.
EMAIL_FILE_PATH = env.EMAIL.get("EMAIL_FILE_PATH") or None
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.EMAIL_FROM

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["kaireon.tenancy.authentication.KaireonAuthentication"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["kaireon.api.parsers.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "kaireon.api.errors.exception_handler",
    # `format` is a parameter of our own, and the Accept header says it otherwise.
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": None,
    "COERCE_DECIMAL_TO_STRING": True,
}

SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Kaireon Compliance API",
    "DESCRIPTION": "Audit log, data subject requests, retention and legal hold, for many tenants.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "RequestStatusEnum": "dsar.models.Status",
        "RequestStateEnum": "dsar.models.State",
        "RequestOutcomeEnum": "dsar.models.Outcome",
        "SubjectTypeEnum": "dsar.models.SubjectType",
        "LetterKindEnum": "dsar.models.LetterKind",
        "LetterStateEnum": "dsar.models.LetterState",
        "ClockPauseGroundEnum": "dsar.models.clock_pause.GROUNDS",
        "ConsentStatusEnum": "customers.models.consent.ConsentStatus",
        "RoleEnum": "kaireon.tenancy.roles.Role",
        "FlowRunStateEnum": "kaireon.flows.models.RunState",
        "FlowStepStateEnum": "kaireon.flows.progress.STEP_STATES",
        "RetentionModeEnum": "compliance.models.policy.Mode",
        "LegalHoldStateEnum": "compliance.models.hold.HoldState",
        "ApprovalStateEnum": "kaireon.approvals.models.State",
        "AlertStateEnum": "compliance.models.AlertState",
        "ReportStateEnum": "compliance.models.ReportState",
        "FormatEnum": "audit.exports.copying.FORMATS",
        "ReportFormatEnum": "compliance.models.ReportFormat",
        "NotificationStateEnum": "compliance.models.NotificationState",
        "NotificationProviderKindEnum": "compliance.models.ProviderKind",
    },
}

SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "ALGORITHM": "HS256",
    "SIGNING_KEY": SECRET_KEY,
    "ISSUER": "kaireon",
    "UPDATE_LAST_LOGIN": False,
}
REFRESH_TOKEN_LIFETIME = timedelta(days=14)

QUEUES = ("batch-jobs", "pipeline-jobs", "dsar-jobs", "retrain-jobs", "journey-jobs")
CELERY_BROKER_URL = env.redis_url(2)
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    "socket_connect_timeout": 2,
    "socket_timeout": 10,
    "max_retries": 1,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_DEFAULT_QUEUE = "batch-jobs"
CELERY_TASK_CREATE_MISSING_QUEUES = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# A worker tells within seconds that one of its processes died, well before the lease of what it did there runs out.
CELERY_WORKER_LOST_WAIT = 2.0
# A restart of the broker must not end what is healthy: its message comes again and finds the lease taken.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_BEAT_SCHEDULER = "cron.beat:Scheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
CELERY_TIMEZONE = "UTC"
DJANGO_CELERY_BEAT_TZ_AWARE = True

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "kaireon.api.logs.RequestIdFilter"}},
    "formatters": {"json": {"()": "kaireon.api.logs.JsonFormatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["request_id"]}},
    "root": {"handlers": ["console"], "level": env.LOG_LEVEL},
    "loggers": {
        "django.server": {"handlers": ["console"], "propagate": False},
        # That a message came and went well: what it was about says so itself, and how long it took.
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
    },
}


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Kaireon Compliance",
    "SITE_HEADER": "Kaireon",
    "SITE_URL": None,
    "SITE_SYMBOL": "verified_user",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("kaireon/favicon.svg")}],
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "DASHBOARD_CALLBACK": "kaireon.admin.dashboard",
    "GLOBAL_CALLBACK": "kaireon.admin.everywhere",
    "STYLES": [lambda request: static("kaireon/palette.css"), lambda request: static("kaireon/admin.css")],
    "SCRIPTS": [lambda request: static("kaireon/htmx.js"), lambda request: static("kaireon/menu.js")],
    "SIDEBAR": {"show_search": True, "navigation": "kaireon.admin.navigation"},
    "SITE_DROPDOWN": "kaireon.admin.tenant_switcher",
}
