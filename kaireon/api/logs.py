"""JSON log lines that carry the request's id and nothing personal."""

import json
import logging
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

_request_id: ContextVar[str] = ContextVar("kaireon_request_id", default="")

# What a record has of itself; everything else was given as `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "request_id", "taskName"}


def request_id() -> str:
    return _request_id.get()


def set_request_id(value: str) -> None:
    _request_id.set(value)


class RequestIdFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id()
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line. Of an exception: its type and the places, never its text, which may quote a row."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _event(record),
        }
        if rid := getattr(record, "request_id", ""):
            line["requestId"] = rid
        line.update({k: v for k, v in vars(record).items() if k not in _STANDARD and _plain(v)})
        if record.exc_info and record.exc_info[0]:
            line["error_type"] = record.exc_info[0].__name__
            frames = traceback.extract_tb(record.exc_info[2])
            line["where"] = [f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno} {f.name}" for f in frames[-12:]]
        return json.dumps(line, ensure_ascii=False)


def _event(record: logging.LogRecord) -> str:
    if record.name == "celery.app.trace":
        return _of_task(record)
    request = getattr(record, "request", None)
    if request is None:
        return record.getMessage()
    # Django's own lines about a request quote its path and headers, where a customer's number or address may stand.
    match = getattr(request, "resolver_match", None)
    reason = record.args[0] if isinstance(record.args, tuple) and record.args else record.name.rpartition(".")[2]
    return f"{reason}: {match.route if match else 'unmatched'}"


def _of_task(record: logging.LogRecord) -> str:
    """Celery's line about a task quotes what it returned, or the text of what it raised: only its name and outcome."""
    said = record.args if isinstance(record.args, dict) else getattr(record, "data", None) or {}
    return f"task {said.get('name', '')} {said.get('description') or 'succeeded'}"


def _plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | bool | list)
