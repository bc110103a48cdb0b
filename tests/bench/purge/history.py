"""Months of interactions, made fast: the rows that ingest would have written, by the superuser and without its checks.

Everybody has ROWS_EACH rows in each month, in an order in which no two neighbours are of one person. A month that was
purged or dropped is made anew, so that every turn finds its pages as they were at first: full, clean, known to VACUUM.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

MONTHS = 5
ROWS_EACH = 20
# One of so many customers is held.
HELD_EVERY = 51
TABLE = "customers_interaction"
PLAIN = "bench_plain_interaction"
# Retention counts in days from some moment of today: so late do the months begin of which it takes nothing.
_LATER = timedelta(days=2)
_FIRST_ID = 0x0190_A5E0_0000_7000_8000_0000_0000_0000

_CUSTOMERS = """
INSERT INTO public.customers_customer (id, tenant_id, customer_id, email, phone, name, name_key, address, country,
                                       language, attributes, last_activity_at, created_at, updated_at)
SELECT ('0190a5e0-0000-7000-8000-' || lpad(to_hex(%(offset)s + n), 12, '0'))::uuid, %(tenant)s, 'c-' || n,
       '', '', '', '', '', 'IN', 'en', '{}', now(), now(), now()
  FROM generate_series(0, %(customers)s - 1) n
"""
# 7919 is a prime that divides no number of customers here: everybody takes turns, and not in the order of their ids.
_ROWS = """
INSERT INTO public.{table} (id, tenant_id, customer_id, kind, channel, offer, quantity, amount, currency, external_id,
                            context, occurred_at, created_at)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(noise, 1, 3) || '8'
        || substr(noise, 4, 15))::uuid, %(tenant)s,
       ('0190a5e0-0000-7000-8000-' || lpad(to_hex(k::bigint * 7919 %% %(customers)s), 12, '0'))::uuid,
       (ARRAY['impression', 'click', 'visit', 'purchase'])[1 + k %% 4], (ARRAY['web', 'email', 'app'])[1 + k %% 3],
       'offer-' || k %% 40, 1 + k %% 7, (k %% 9000) / 100.0, 'EUR', to_char(at, 'YYMM') || '-' || k, '{{}}', at, at
  FROM (SELECT k, md5(k::text) AS noise, %(first)s + (%(last)s - %(first)s) * (k::float8 / %(rows)s) AS at
          FROM generate_series(0, %(rows)s - 1) k) made
"""
# The same columns, indexes, walls and record in one piece, without guards.
_PLAIN = f"""
CREATE TABLE public.{PLAIN} (LIKE public.{TABLE} INCLUDING DEFAULTS);
ALTER TABLE public.{PLAIN} ADD PRIMARY KEY (id, occurred_at);
DO $$ DECLARE made text; BEGIN
    FOR made IN SELECT pg_get_indexdef(indexrelid) FROM pg_index
                 WHERE indrelid = 'public.{TABLE}'::regclass AND NOT indisprimary LOOP
        EXECUTE regexp_replace(made, ' INDEX \\w+ ON ONLY public.{TABLE} ', ' INDEX ON public.{PLAIN} ');
    END LOOP;
END $$;
SELECT public.secure_tenant_table('{PLAIN}', 'tenant_id', 'SELECT, INSERT, UPDATE, DELETE', false);
ALTER TABLE public.{PLAIN} DROP CONSTRAINT {PLAIN}_in_tenant;
SELECT public.add_tenant_reference('{PLAIN}', 'customer_id', 'customers_customer', 'NO ACTION');
CREATE TRIGGER audit_capture AFTER INSERT ON public.{PLAIN} REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_capture_bulk('Interaction', 'occurred_at')
"""


def customer(number: int, *, offset: int = 0) -> UUID:
    """Our id of the customer with this number."""
    return UUID(int=_FIRST_ID + offset + number)


@dataclass(frozen=True, kw_only=True)
class History:
    """One tenant's months, the oldest first, and the current one, which is empty. `url` is the superuser's."""

    url: str
    tenant: str
    customers: int
    now: datetime

    @property
    def month_rows(self) -> int:
        return self.customers * ROWS_EACH

    @property
    def held(self) -> list[UUID]:
        """The customers who are held."""
        return [customer(number) for number in range(0, self.customers, HELD_EVERY)]

    @property
    def held_rows(self) -> int:
        """Of the oldest month."""
        return len(self.held) * ROWS_EACH

    @property
    def months(self) -> list[datetime]:
        number = self.now.year * 12 + self.now.month - 1
        return [datetime((number - n) // 12, (number - n) % 12 + 1, 1, tzinfo=UTC) for n in range(MONTHS, -1, -1)]

    @property
    def oldest(self) -> str:
        """The table that is the oldest month."""
        return f"{TABLE}_{self.months[0]:%Y_%m}"

    @property
    def days(self) -> int:
        """How long a policy keeps what is not of the oldest month."""
        return (self.now - self.months[1]).days

    def load(self, *, moved: Callable[[str], object]) -> None:
        with self._server() as server:
            self._customers(server, self.tenant, self.customers)
            for number in range(MONTHS):
                moved(f"writing month {number + 1} of {MONTHS}, {self.month_rows:,} rows")
                self._fill(server, number)
            self._ensure(server, MONTHS)
            moved(f"writing {self.month_rows:,} rows into a plain table")
            server.execute(_PLAIN)
            self._write(server, PLAIN, MONTHS - 1)
            server.execute(f"VACUUM ANALYZE public.{PLAIN}")
            server.execute("VACUUM ANALYZE public.customers_customer")
            server.execute(f"ANALYZE public.{TABLE}")

    def add_customers(self, tenant: str, customers: int, *, offset: int) -> None:
        with self._server() as server:
            self._customers(server, tenant, customers, offset=offset)

    def restore(self) -> None:
        """Make the oldest month anew. Nobody pays later for what is written here."""
        with self._server() as server:
            server.execute(f"DROP TABLE IF EXISTS public.{self.oldest}")
            self._fill(server, 0)
            server.execute("CHECKPOINT")

    def left(self) -> int:
        """Rows of the oldest month, also when its table is gone."""
        with self._server() as server:
            return _number(
                server.execute(f"SELECT count(*) FROM public.{TABLE} WHERE occurred_at < %s", [self.months[1]])
            )

    @contextmanager
    def bare(self) -> Iterator[None]:
        """The table without its triggers, until the block ends."""
        with self._server() as server:
            found = server.execute(
                "SELECT tgname, tgenabled::text FROM pg_trigger"
                " WHERE tgrelid = %s::regclass AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 1 = 0",
                [f"public.{TABLE}"],
            ).fetchall()
            alter = f"ALTER TABLE ONLY public.{TABLE}"
            try:
                for name, _ in found:
                    server.execute(f'{alter} DISABLE TRIGGER "{name}"')
                yield
            finally:
                for name, enabled in found:
                    always = "ALWAYS " if enabled == "A" else ""
                    server.execute(f'{alter} ENABLE {always}TRIGGER "{name}"')

    def _fill(self, server: "psycopg.Connection[Any]", number: int) -> None:
        self._ensure(server, number)
        part = f"{TABLE}_{self.months[number]:%Y_%m}"
        self._write(server, part, number)
        server.execute(f"VACUUM ANALYZE public.{part}")

    def _ensure(self, server: "psycopg.Connection[Any]", number: int) -> None:
        with server.transaction():
            server.execute("SELECT public.partition_ensure(%s, %s)", [TABLE, self.months[number].date()])

    def _write(self, server: "psycopg.Connection[Any]", table: str, number: int) -> None:
        first, last = self.months[number], self.months[number + 1]
        span = {"first": first if number == 0 else first + _LATER, "last": last}
        whose = {"tenant": self.tenant, "customers": self.customers, "rows": self.month_rows}
        server.execute(_ROWS.format(table=table), {**whose, **span})

    def _customers(self, server: "psycopg.Connection[Any]", tenant: str, customers: int, *, offset: int = 0) -> None:
        server.execute(_CUSTOMERS, {"tenant": tenant, "customers": customers, "offset": offset})

    @contextmanager
    def _server(self) -> Iterator["psycopg.Connection[Any]"]:
        with psycopg.connect(self.url, autocommit=True) as server:
            # What was captured, and whom a row refers to, is not asked for here.
            server.execute("SET session_replication_role = replica")
            yield server


def _number(cursor: "psycopg.Cursor[Any]") -> int:
    row = cursor.fetchone()
    assert row is not None
    return int(row[0])
