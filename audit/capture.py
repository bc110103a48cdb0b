"""Migration operations that put a table under audit. Every change brings its record, whoever makes it."""

from collections.abc import Iterable

from django.db.migrations.operations import RunSQL


def captured(
    table: str,
    entity: str,
    *,
    personal: Iterable[str] = (),
    secret: Iterable[str] = (),
    ignore: Iterable[str] = (),
    exact: Iterable[str] = (),
    name: str = "",
    platform: bool = False,
) -> RunSQL:
    """One record per changed row.

    `personal` columns appear by name only, `secret` ones never; a change of `ignore` columns alone brings no record;
    `exact` columns (bigint, numeric) are kept as text; `name` is the column of the record's entityName, which must
    not be personal; `platform` sends the records to the log `_platform`.
    """
    arguments = [
        entity,
        "platform" if platform else "tenant",
        *(",".join(c) for c in (personal, secret, ignore, exact)),
        name,
    ]
    quoted = ", ".join(f"'{a}'" for a in arguments)
    return RunSQL(
        f'CREATE TRIGGER audit_capture AFTER INSERT OR UPDATE OR DELETE ON public."{table}"'
        f" FOR EACH ROW EXECUTE FUNCTION public.audit_capture({quoted}); {_refuse_truncate(table)}",
        f'DROP TRIGGER audit_capture ON public."{table}"; DROP TRIGGER recorded_truncate ON public."{table}"',
    )


def captured_in_bulk(table: str, entity: str, *, range_column: str) -> RunSQL:
    """One record per statement: the table, how many rows, and the range of `range_column`.

    For a table partitioned by month, call it before the first partition exists: new ones copy its triggers.
    """
    make = "; ".join(
        f'CREATE TRIGGER audit_capture_{event.lower()} AFTER {event} ON public."{table}" REFERENCING {rows}'
        f" FOR EACH STATEMENT EXECUTE FUNCTION public.audit_capture_bulk('{entity}', '{range_column}')"
        for event, rows in (
            ("INSERT", "NEW TABLE AS new_rows"),
            ("UPDATE", "NEW TABLE AS new_rows"),
            ("DELETE", "OLD TABLE AS old_rows"),
        )
    )
    drop = "; ".join(f'DROP TRIGGER audit_capture_{e} ON public."{table}"' for e in ("insert", "update", "delete"))
    return RunSQL(f"{make}; {_refuse_truncate(table)}", f'{drop}; DROP TRIGGER recorded_truncate ON public."{table}"')


def _refuse_truncate(table: str) -> str:
    """TRUNCATE shows no trigger the rows, and asks no policy whose they are: nothing of it could be recorded.

    Named to fire after a hold's refusal, which says more.
    """
    return (
        f'CREATE TRIGGER recorded_truncate BEFORE TRUNCATE ON public."{table}"'
        " FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse_truncate()"
    )
