"""The pages of a package: HTML that opens from disk, without scripts, fonts or anything else from elsewhere.

All that comes from data is escaped. A page has at most ROWS_A_PAGE rows.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from customers.particulars import PARTICULARS, Particulars
from dsar.dossiers.cover import Cover

ROWS_A_PAGE = 500

_STYLE = """
:root{--ink:#1c2430;--soft:#5b6675;--line:#e3e7ee;--paper:#fff;--ground:#f5f7fa;--accent:#1f5fbf;--wash:#eef4fd}
@media (prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa6b5;--line:#2c3542;--paper:#171d26;--ground:#10151c;
--accent:#7db0ff;--wash:#1c2a3f}}
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main{max-width:72rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}a{color:var(--accent)}
h1{font-size:2rem;line-height:1.2;margin:0 0 .4rem;letter-spacing:-.02em}h2{font-size:1.25rem;margin:0 0 .3rem}
.lead{color:var(--soft);margin:0 0 1.5rem;max-width:46rem}
.facts{display:flex;flex-wrap:wrap;gap:.75rem;margin:0 0 2rem;padding:0;list-style:none}
.facts li{background:var(--paper);border:1px solid var(--line);border-radius:.6rem;padding:.55rem .9rem;max-width:100%}
.facts b{display:block;font-weight:600;overflow-wrap:anywhere}
.facts span,dt,.count,.small{color:var(--soft);font-size:.84rem}
.card{background:var(--paper);border:1px solid var(--line);border-radius:.8rem;padding:1.25rem 1.4rem;margin:0 0 1rem}
.card header{display:flex;gap:1rem;justify-content:space-between;align-items:baseline;flex-wrap:wrap}
.count{white-space:nowrap;background:var(--wash);border-radius:1rem;padding:.1rem .7rem;color:var(--accent)}
.none .count{background:none;color:var(--soft)}
dl{display:grid;grid-template-columns:minmax(9rem,14rem) 1fr;gap:.35rem 1.2rem;margin:.8rem 0 0}
dd{margin:0;overflow-wrap:anywhere}dl dl{margin:0}.links{margin:.9rem 0 0;display:flex;gap:1.2rem;flex-wrap:wrap}
.scroll{overflow:auto;max-height:80vh;background:var(--paper);border:1px solid var(--line);border-radius:.8rem}
table{border-collapse:collapse;width:100%;font-size:.88rem}th,td{text-align:left;vertical-align:top;
padding:.5rem .8rem;border-bottom:1px solid var(--line)}
th{position:sticky;top:0;background:var(--wash);white-space:nowrap}
td{max-width:24rem;overflow-wrap:anywhere;min-width:7rem}td:last-child{min-width:12rem}
td dl{margin:0;grid-template-columns:max-content minmax(6rem,1fr);gap:.1rem .6rem}tr:last-child td{border-bottom:0}
nav{display:flex;justify-content:space-between;gap:1rem;margin:1rem 0;flex-wrap:wrap}
@media print{body{background:#fff}.scroll{max-height:none;overflow:visible}.card{break-inside:avoid}nav{display:none}}
@media (max-width:40rem){dl{grid-template-columns:1fr;gap:.1rem}dd{margin-bottom:.5rem}}
"""


def index(head: Mapping[str, Any], counts: Mapping[str, int], cover: Cover) -> str:
    """The first page: what there is, why, for how long, and which rights there are."""
    held = sum(counts.values())
    lead = (
        "This package holds everything that is kept about you, as it stood when it was made. Open the pages here, the"
        " tables in “csv” with a spreadsheet, and “dossier.json” with a program."
    )
    if cover.portable:
        lead = (
            "This package holds what you provided, for you to take along: “dossier.json” is for programs, the tables in"
            " “csv” for spreadsheets. It is not all that is kept about you: ask for access to have that."
        )
    elif not any(count for section, count in counts.items() if section not in ("dsarRequests", "auditLogs")):
        lead = "Nothing is held about you here but your request itself and the records about it."
    facts = {
        "Kept by": cover.organisation,
        "About": head["customerId"] or "not known here",
        "As of": moment(head["exportedAt"]),
        "Request": cover.request_id,
        "Rows": f"{held:,}",
    }
    cards = "".join(
        _card(section, said, counts.get(section, 0), cover)
        for section, said in PARTICULARS.items()
        if section in cover.sections
    )
    rights = "".join(f"<li>{escape(right)}</li>" for right in cover.rights)
    more = f'<section class="card"><h2>Your rights</h2><ul>{rights}</ul></section>' if rights else ""
    body = (
        f'<h1>Your personal data</h1><p class="lead">{escape(lead)}</p><ul class="facts">'
        + "".join(f"<li><span>{escape(n)}</span><b>{escape(str(v))}</b></li>" for n, v in facts.items())
        + f'</ul>{cards}{more}<p class="small">“attachments” has the files themselves, in folders by their ids;'
        " “manifest.json” has the SHA-256 of every file of this package,"
        " “schema.json” describes “dossier.json”.</p>"
    )
    return _page("Your personal data", body)


def section_page(section: str, rows: Sequence[Mapping[str, Any]], *, number: int, pages: int, count: int) -> str:
    """One page of the rows of a section."""
    said = PARTICULARS[section]
    around = [
        f'<a href="../index.html">All sections</a><span class="small">Page {number:,} of {pages:,},'
        f" {count:,} {'row' if count == 1 else 'rows'}</span><span>"
    ]
    if number > 1:
        around.append(f'<a href="{page_name(section, number - 1)}" rel="prev">Earlier</a> ')
    if number < pages:
        around.append(f'<a href="{page_name(section, number + 1)}" rel="next">Later</a>')
    nav = f"<nav>{''.join(around)}</span></nav>"
    shown = f'<div class="card">{_pairs(rows[0])}</div>' if section == "profile" else _table(rows)
    body = f'<h1>{escape(said.title)}</h1><p class="lead">{escape(said.categories)}</p>{nav}{shown}{nav}'
    return _page(said.title, body)


def page_name(section: str, number: int) -> str:
    return f"{section}-{number:04}.html"


def pages_of(count: int) -> int:
    return -(-count // ROWS_A_PAGE)


def moment(value: str) -> str:
    """`2026-01-10 10:00:00 UTC` of a moment as dossiers spell it; another text as it is."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?Z", value)
    return f"{found[1]} {found[2]} UTC" if found else value


def _card(section: str, said: Particulars, count: int, cover: Cover) -> str:
    facts = {
        "What it is": said.categories,
        "What for": said.purposes,
        "Who receives it": said.recipients,
        "Where it is from": said.source,
        "How long": cover.retention[section],
        "Decisions without a person": said.automated or "None.",
    }
    links = ""
    if count:
        links = (
            f'<p class="links"><a href="pages/{page_name(section, 1)}">Read</a>'
            f'<a href="csv/{section}.csv">Table (CSV)</a></p>'
        )
    amount = f"{count:,} {'row' if count == 1 else 'rows'}" if count else "nothing held"
    return (
        f'<section class="card{"" if count else " none"}" id="{section}"><header><h2>{escape(said.title)}</h2>'
        f'<span class="count">{amount}</span></header>{_pairs(facts)}{links}</section>'
    )


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    # Our own number of a row says least.
    names = sorted(rows[0], key=lambda name: name == "id")
    head = "".join(f'<th scope="col">{escape(_words(name))}</th>' for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{_value(row.get(name))}</td>' for name in names)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _pairs(values: Mapping[str, Any]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(_words(n))}</dt><dd>{_value(v)}</dd>' for n, v in values.items())}</dl>"


def _value(value: Any) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return _pairs(value)
    if isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
        return ", ".join(_value(item) for item in value)
    return escape(moment(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _words(name: str) -> str:
    """`occurredAt` as `Occurred at`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return words[:1].upper() + words[1:].lower() if words != name or name.islower() else name


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )


def batches(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """As many rows as a page has."""
    some: list[Mapping[str, Any]] = []
    for row in rows:
        some.append(row)
        if len(some) == ROWS_A_PAGE:
            yield some
            some = []
    if some:
        yield some
