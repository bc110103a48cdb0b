"""Engagement reckoned of those of whom something is new, beside everybody's."""

import time

import psycopg

from tests.bench.facts import machine, python
from tests.bench.noise import within
from tests.bench.options import Options
from tests.bench.rounds import Contender, Heat, Turn, play
from tests.bench.section import Section, Table
from tests.bench.servers import servers
from tests.bench.talker import Talker

TITLE = "What a night's reckoning of engagement costs"
TENANT = "tenant-01"
ROWS = 5_000_000
QUICK_ROWS = 200_000
EACH = 20
MONTHS = 24
TARGET = 0.1

_CUSTOMERS = """
INSERT INTO public.customers_customer (id, tenant_id, customer_id, email, phone, name, name_key, address, country,
                                       language, attributes, last_activity_at, created_at, updated_at)
SELECT ('0170a5e0-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, %(tenant)s, 'c-' || n, '', '', '', '', '', '',
       '', '{}', now(), now(), now() FROM generate_series(0, %(customers)s - 1) n
"""
# Evenly over the months, each under an id of its time, as all that is brought in.
_INTERACTIONS = """
INSERT INTO public.customers_interaction (id, tenant_id, customer_id, kind, channel, offer, currency, external_id,
                                          context, occurred_at, created_at)
SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0')
        || '70008' || lpad(to_hex(k), 15, '0'))::uuid,
       %(tenant)s, ('0170a5e0-0000-7000-8000-' || lpad(to_hex(k %% %(customers)s), 12, '0'))::uuid,
       (ARRAY['click', 'visit', 'purchase', 'impression'])[1 + k %% 4], 'web', '', '', k::text, '{}', moment, moment
  FROM (SELECT k, now() - interval '1 day' - %(span)s::interval * (k::float8 / %(rows)s) AS moment
          FROM generate_series(1, %(rows)s) k) made
"""


def run(options: Options) -> Section:
    rows = options.rows or (QUICK_ROWS if options.quick else ROWS)
    rounds = options.rounds or (3 if options.quick else 7)
    # As many as on any other day.
    daily = rows // (MONTHS * 30)
    began = time.monotonic()
    with servers(settings={"shared_buffers": "2GB"}) as running:
        environment = {**running.product(settings="kaireon.settings"), "LOG_LEVEL": "WARNING"}
        worker = Talker("tests.bench.engagement.worker", TENANT, environment=environment)
        try:
            worker.ask({"tenant": True})
            options.progress(f"writing {rows:,} interactions of {rows // EACH:,} customers")
            _load(running.postgres.url("ours"), rows=rows)
            made = heat(worker, daily)
            for contender in made.everybody:
                contender.measure()
            play([made], rounds=rounds, progress=options.progress)
            facts = running.facts()
        finally:
            worker.stop()
    facts = machine("PostgreSQL and the worker share the cores") | facts | python("django", "psycopg")
    return section(made, rows=rows, rounds=rounds, facts=facts, took=time.monotonic() - began)


def heat(worker: Talker, daily: int) -> Heat:
    def turn(order: dict[str, object]) -> Turn:
        done = worker.ask(order)
        return Turn(rate=1 / done["seconds"], more={"seconds": done["seconds"], "lookedAt": done["lookedAt"]})

    return Heat(
        title="a day",
        floor=Contender(name="whole", title="Everybody", measure=lambda: turn({"whole": True})),
        others=[Contender(name="new", title="Of whom something is new", measure=lambda: turn({"day": daily}))],
    )


def section(made: Heat, *, rows: int, rounds: int, facts: dict[str, str], took: float) -> Section:
    return Section(
        title=TITLE,
        introduction=_INTRODUCTION.format(
            rows=rows, customers=rows // EACH, months=MONTHS, rounds=rounds, minutes=max(1, round(took / 60))
        ),
        tables=[
            Table(
                title="One run",
                headings=["", "seconds", "customers", "of the whole", "min–max"],
                cells=[
                    [
                        c.title,
                        f"{c.median_of('seconds'):,.2f}",
                        f"{c.median_of('lookedAt'):,.0f}",
                        f"{1 / c.ratio:.3f}",
                        "{:.3f}–{:.3f}".format(*(1 / ratio for ratio in reversed(c.ratio_range))),
                    ]
                    for c in made.everybody
                ],
                note=f"The whole run itself varied by ±{made.noise:.0%}.",
            )
        ],
        verdicts=verdicts(made),
        facts=facts,
        took=took,
        rounds=made.json(),
    )


def verdicts(made: Heat) -> dict[str, str]:
    [new] = made.others
    return {
        "A night's run": f"{1 / new.ratio:.3f} of a whole one (at most {TARGET:g}: {within(new.times, TARGET)})",
    }


def _load(url: str, *, rows: int) -> None:
    customers = rows // EACH
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("SELECT set_config('app.tenant_id', %s, false)", [TENANT])
        server.execute("SET session_replication_role = replica")
        server.execute(_CUSTOMERS, {"tenant": TENANT, "customers": customers})
        server.execute(
            "SELECT public.partition_ensure('customers_interaction', (date_trunc('month', now()) - n * interval"
            " '1 month')::date) FROM generate_series(0, %s) n",
            [MONTHS + 1],
        )
        span = f"{MONTHS * 30} days"
        server.execute(_INTERACTIONS, {"tenant": TENANT, "customers": customers, "rows": rows, "span": span})
        server.execute("VACUUM ANALYZE")
        server.execute("CHECKPOINT")


_INTRODUCTION = """\
Repeat it with `make bench BENCH=engagement`, about {minutes} minutes; `.venv/bin/python -m tests.bench engagement
--quick` is a look with fewer rows, `--rows` says how many; `--write` puts it here.

{rows:,} interactions of {customers:,} customers over {months} months in one tenant. *Everybody* is the weekly run, in
slices of 20,000 customers. *Of whom something is new* is the run of every other night, after as many interactions came
in as on any other day, evenly over it, each of another customer; those of the two hours before the last run are looked
at once more. Both sum up the day.

Medians of {rounds} rounds, each right beside a whole run. Something is called settled when the order of its ratios
leaves less than 5 % of doubt on which side of the target the median lies.
"""
