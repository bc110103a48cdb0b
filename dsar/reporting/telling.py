"""A report in the shapes in which it is handed out: for the API and the command, and as a table for spreadsheets."""

import io
from datetime import date
from typing import Any

from dsar import deadlines
from dsar.reporting.figures import CCPA, Figures, Report
from dsar.requests.grounds import GROUNDS
from dsar.requests.kinds import KINDS
from kaireon.lib.csv_safe import SafeWriter

# 11 CCR § 7102(a)(3) lets a business say why it denied: each of our grounds is one of these.
CCPA_REASONS: dict[str, str] = {
    "identity_not_proven": "notVerifiable",
    "rights_of_others": "exempt",
    "legal_obligation": "exempt",
    "legal_claims": "exempt",
}
COLUMNS: dict[str, str] = {
    "received": "Received",
    "answered": "Answered",
    "in_whole": "Complied with in whole",
    "in_part": "Complied with in part",
    "no_data": "Nothing held",
    "denied": "Denied",
    "withdrawn": "Withdrawn",
    "duplicates": "Duplicates",
    "on_time": "On time",
    "on_time_rate": "On time, %",
    "median_days": "Median days",
    "mean_days": "Mean days",
    "extended": "Extended",
    "open_at_end": "Open at the end",
    "overdue_at_end": "Overdue at the end",
}


def wire(report: Report) -> dict[str, Any]:
    """In camelCase."""
    return {
        "from": report.since.isoformat(),
        "to": report.until.isoformat(),
        "timeZone": report.zone,
        "totals": _counts(report.total),
        "byKind": [{"requestType": line.request_type, **_counts(line)} for line in report.by_kind],
        "byRegulation": [{"regulation": line.regulation, **_counts(line)} for line in report.by_law],
        "lines": [
            {"regulation": line.regulation, "requestType": line.request_type, **_counts(line)} for line in report.lines
        ],
        "denials": [
            {
                "regulation": denial.regulation,
                "requestType": denial.request_type,
                "ground": denial.ground,
                "count": denial.count,
            }
            for denial in report.denials
        ],
        "states": report.states,
        "ccpa": {
            "article": "11 CCR § 7102(a)",
            "metrics": [{"metric": name, **_ccpa(line)} for name, line in report.metrics.items()],
            "deniedBecause": reasons(report),
        },
    }


def reasons(report: Report) -> dict[str, int]:
    """Why requests under the CCPA were denied, in the words of § 7102(a)(3)."""
    found = {"notVerifiable": 0, "exempt": 0, "other": 0}
    for ground, count in report.denied_on(regulation=CCPA).items():
        found[CCPA_REASONS.get(ground, "other")] += count
    return found


def as_csv(report: Report) -> str:
    """A line for everything, each law, each kind, and each kind under each law, with its denials by ground."""
    sink = io.StringIO()
    writer = SafeWriter(sink)
    grounds = [f"Denied: {ground.title}" for ground in GROUNDS.values()]
    writer.writerow(["From", "To", "Law", "Kind", *COLUMNS.values(), *grounds])
    for line in (report.total, *report.by_law, *report.by_kind, *report.lines):
        denied = report.denied_on(regulation=line.regulation, request_type=line.request_type)
        writer.writerow(
            [
                *(report.since.isoformat(), report.until.isoformat(), law_of(line), kind_of(line)),
                *(getattr(line, name) for name in COLUMNS),
                *(denied.get(name, 0) for name in GROUNDS),
            ]
        )
    return sink.getvalue()


def file_name(since: date, until: date) -> str:
    return f"subject-requests-{since}-{until}.csv"


def law_of(line: Figures) -> str:
    return deadlines.law_pack(line.regulation).title if line.regulation else "All"


def kind_of(line: Figures) -> str:
    return KINDS[line.request_type].title if line.request_type else "All"


def _counts(line: Figures) -> dict[str, Any]:
    return {
        "received": line.received,
        "answered": line.answered,
        "compliedInWhole": line.in_whole,
        "compliedInPart": line.in_part,
        "noData": line.no_data,
        "denied": line.denied,
        "withdrawn": line.withdrawn,
        "duplicates": line.duplicates,
        "extended": line.extended,
        "onTime": line.on_time,
        "onTimeRate": line.on_time_rate,
        "medianDays": line.median_days,
        "meanDays": line.mean_days,
        "openAtEnd": line.open_at_end,
        "overdueAtEnd": line.overdue_at_end,
    }


def _ccpa(line: Figures) -> dict[str, Any]:
    return {
        "received": line.received,
        "complied": line.complied,
        "noData": line.no_data,
        "denied": line.denied,
        "medianDays": line.median_days,
        "meanDays": line.mean_days,
    }
