"""A tenant with millions of rows of others, and subjects with few and many, made fast: by the superuser, past triggers.

Of a subject's rows seven in ten are interactions, one is a decision trace, two are deliveries.
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import psycopg

_CUSTOMERS = """
INSERT INTO public.customers_customer (id, tenant_id, customer_id, email, phone, name, name_key, address, country,
                                       language, attributes, last_activity_at, created_at, updated_at)
SELECT ('0190a5e0-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, %(tenant)s, 'c-' || n,
       'c' || n || '@example.com', '', 'Customer ' || n, '', '', 'IN', 'en', '{"tier": "gold"}', now(), now(), now()
  FROM generate_series(0, %(customers)s - 1) n
"""
# One customer's rows, or with a step everybody's in turn.
_INTERACTIONS = """
INSERT INTO public.customers_interaction (id, tenant_id, customer_id, kind, channel, offer, quantity, amount, currency,
                                          external_id, context, occurred_at, created_at)
SELECT {id}, %(tenant)s,
       ('0190a5e0-0000-7000-8000-' || lpad(to_hex(%(first)s + k %% %(others)s), 12, '0'))::uuid,
       (ARRAY['impression', 'click', 'visit', 'purchase'])[1 + k %% 4], (ARRAY['web', 'email', 'app'])[1 + k %% 3],
       'offer-' || k %% 40, 1 + k %% 7, (k %% 9000) / 100.0, 'EUR', %(first)s || '-' || k,
       jsonb_build_object('page', '/p/' || k %% 100, 'ms', k %% 900), moment, moment
  FROM (SELECT k, date_trunc('month', now()) + k * interval '1 millisecond' AS moment
          FROM generate_series(1, %(rows)s) k) made
"""
_ANY_ID = "gen_random_uuid()"
# As the product makes them (UUIDv7, RFC 9562): they rise with the moment.
_RISING_ID = """
       (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0')
        || '7' || left(md5(random()::text), 3) || '8' || left(md5(random()::text), 15))::uuid
"""
_DELIVERIES = """
INSERT INTO public.customers_delivery (id, tenant_id, customer_id, channel, template, destination, status,
                                       provider_id, sent_at)
SELECT gen_random_uuid(), %(tenant)s, %(customer)s, 'email', 'spring', 'c@example.com', 'sent', 'p-' || k,
       now() - k * interval '1 second' FROM generate_series(1, %(rows)s) k
"""
_TRACES = """
INSERT INTO public.customers_decisiontrace (id, tenant_id, customer_id, decision, channel, outcome, score,
                                            model_version, inputs, reasons, decided_at, created_at)
SELECT gen_random_uuid(), %(tenant)s, %(customer)s, 'offer', 'web', 'offer-' || k %% 40, (k %% 100) / 100.0, 'v1',
       jsonb_build_object('visits', k), '["recent"]', date_trunc('month', now()) + k * interval '1 millisecond', now()
  FROM generate_series(1, %(rows)s) k
"""


# Where the floor puts what it wrote.
_PACKAGES = """
CREATE TABLE public.bench_package (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, number text, name text,
                                   content bytea);
GRANT SELECT, INSERT ON public.bench_package TO kaireon_app
"""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A customer, by how many rows they have."""

    number: int
    rows: int

    @property
    def name(self) -> str:
        return f"c-{self.number}"

    @property
    def key(self) -> UUID:
        return UUID(f"0190a5e0-0000-7000-8000-{self.number:012x}")


def load(
    url: str,
    *,
    tenant: str,
    others: int,
    each: int,
    subjects: list[Subject],
    rising: bool = False,
    moved: Callable[[str], object],
) -> None:
    """Write `others` customers of `each` interactions, and the subjects, whose numbers come before theirs.

    The ids of interactions are any, or, `rising`, as the product makes them.
    """
    interactions = _INTERACTIONS.format(id=_RISING_ID if rising else _ANY_ID)
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("SELECT set_config('app.tenant_id', %s, false)", [tenant])
        server.execute(_PACKAGES)
        server.execute("SET session_replication_role = replica")
        first = len(subjects)
        server.execute(_CUSTOMERS, {"tenant": tenant, "customers": first + others})
        for table in ("customers_interaction", "customers_decisiontrace"):
            server.execute("SELECT public.partition_ensure(%s, date_trunc('month', now())::date)", [table])
        moved(f"writing {others * each:,} rows of others")
        server.execute(interactions, {"tenant": tenant, "first": first, "others": others, "rows": others * each})
        for subject in subjects:
            moved(f"writing a subject of {subject.rows:,} rows")
            given = {"tenant": tenant, "customer": subject.key}
            visits = subject.rows * 7 // 10
            server.execute(interactions, {"tenant": tenant, "first": subject.number, "others": 1, "rows": visits})
            server.execute(_TRACES, {**given, "rows": subject.rows // 10})
            server.execute(_DELIVERIES, {**given, "rows": subject.rows - visits - subject.rows // 10})
        moved("analysing")
        server.execute("VACUUM ANALYZE")
        server.execute("CHECKPOINT")
