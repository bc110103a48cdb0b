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
    subject: str = "",
) -> RunSQL:
    """One record per changed row.

    `personal` columns are sealed on the way into the log, under the key of whom the column `subject` names by our
    opaque id; without a subject a record only tells that there was a value. `secret` columns never appear; a change
    of `ignore` columns alone brings no record; `exact` columns (bigint, numeric) are kept as text; `name` is the
    column of the record's entityName, which must not be personal; `platform` sends the records to the log `_platform`.
    A column that is not there is refused; one that is renamed later stops its table until the capture is written anew.
    """
    personal, secret, ignore, exact = [*personal], [*secret], [*ignore], [*exact]
    if name in (*personal, *secret):
        raise ValueError(f"{table}.{name} would stand in every record as its name, and is not to be seen.")
    if subject in (*personal, *secret, *ignore):
        raise ValueError(f"{table}.{subject} says whose the values are, and must stand in the record itself.")
    if unknown := [column for column in personal if column in (*secret, *ignore)]:
        raise ValueError(f"{table}.{unknown[0]} cannot be sealed: it is left out of the record.")
    named = [*personal, *secret, *ignore, *exact, *(column for column in (name, subject) if column)]
    function = f'public."audit_capture_{table}"'
    body = _ask_for(named, table) + _row_function(
        function,
        entity,
        personal=personal,
        secret=secret,
        ignored=ignore,
        exact=exact,
        name=name,
        platform=platform,
        subject=subject,
    )
    return RunSQL(
        f"{body}; REVOKE ALL ON FUNCTION {function}() FROM PUBLIC;"
        f' CREATE TRIGGER audit_capture AFTER INSERT OR UPDATE OR DELETE ON public."{table}"'
        f" FOR EACH ROW EXECUTE FUNCTION {function}(); {_handed_over(function)}; {_refuse_truncate(table)}",
        f'DROP TRIGGER audit_capture ON public."{table}"; DROP TRIGGER recorded_truncate ON public."{table}";'
        f" SET LOCAL ROLE kaireon_capture; DROP FUNCTION {function}(); RESET ROLE",
    )


def _row_function(
    function: str,
    entity: str,
    *,
    personal: list[str],
    secret: list[str],
    ignored: list[str],
    exact: list[str],
    name: str,
    platform: bool,
    subject: str,
) -> str:
    """The trigger function of one table, written for it: what it does not ask for costs its rows nothing.

    It names schemas in full, keeps temporary tables out of its path, listens to no session switch, and runs as
    kaireon_capture, whose one right is to insert into the inbox.
    """

    def shown(row: str) -> str:
        pairs = [f"""'{c}', {row}."{c}"::text""" for c in exact]
        return _without(f"to_jsonb({row})", [*secret, *ignored]) + (
            f" || jsonb_build_object({', '.join(pairs)})" if pairs else ""
        )

    named = [*secret, *personal]
    sealed = f"'{','.join(personal)}'" if personal else "NULL"
    whose = f"'{subject}'" if personal and subject else "NULL"

    # Left out of the row or sealed by name, they would show under another: so the names are asked for.
    there = " OR ".join(f'{{row}}."{column}" IS NULL' for column in named)

    def recorded(operation: str, verb: str, row: str, before: str, after: str) -> str:
        """What one operation writes down, in as few statements as can be: each costs every row."""
        tenant = "'_platform'" if platform else f"{row}.tenant_id"
        refused = f"""
        IF {tenant} IS NULL OR {tenant} = '' THEN
            RAISE EXCEPTION 'a change of {entity} needs a tenant' USING ERRCODE = 'insufficient_privilege';
        END IF;"""
        asked = f"""
        there := {there.format(row=row)};"""
        key = f"('{entity}:' || {row}.id::text)"
        return f"""
        verb := '{verb}';
        IF verbs <> '' AND verbs::jsonb ? {key} THEN
            verb := verbs::jsonb ->> {key};
            -- A verb names one record.
            PERFORM set_config('app.audit_actions', (verbs::jsonb - {key})::text, true);
        END IF;{"" if platform else refused}{asked if named else ""}
        INSERT INTO public.audit_inbox (tenant_id, operation, action, entity_type, entity_id, entity_name,
            before, after, personal, subject, user_id, user_name, actor_type, request_id, "timestamp")
        -- The log's indexes take texts of this length whatever their script; a longer one would stop the tenant's log.
        VALUES ({tenant}, '{operation}', left(verb, 400), '{entity}', left({row}.id::text, 400),
            {f'{row}."{name}"::text' if name else "NULL"}, {before}, {after}, {sealed}, {whose},
            nullif(left(current_setting('app.actor_id', true), 400), ''),
            coalesce(nullif(left(current_setting('app.actor_name', true), 400), ''), 'system'), acting,
            nullif(left(current_setting('app.request_id', true), 400), ''), clock_timestamp());"""  # noqa: S608 - names that migrations give

    old, new = shown("OLD"), shown("NEW")
    return f"""
CREATE FUNCTION {function}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    acting text := current_setting('app.actor_type', true);
    verbs text := current_setting('app.audit_actions', true);
    verb text;{
        '''
    there boolean;'''
        if named
        else ""
    }
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF {_without("to_jsonb(OLD)", ignored)} = {_without("to_jsonb(NEW)", ignored)} THEN
            RETURN NULL;
        END IF;
    END IF;
    IF acting IS NULL OR acting NOT IN ('user', 'api_key', 'job', 'system') THEN
        RAISE EXCEPTION 'a change of {entity} needs an actor'
            USING ERRCODE = 'insufficient_privilege', HINT = 'Set app.actor_type, app.actor_id, app.actor_name first.';
    END IF;
    IF TG_OP = 'INSERT' THEN{recorded("I", "create", "NEW", "NULL", new)}
    ELSIF TG_OP = 'UPDATE' THEN{recorded("U", "update", "NEW", old, new)}
    ELSE{recorded("D", "delete", "OLD", old, "NULL")}
    END IF;
    RETURN NULL;
END $$"""


def _ask_for(columns: list[str], table: str) -> str:
    """A statement that fails when one of the columns is not there."""
    names = ", ".join(f'"{c}"' for c in columns)
    return f'SELECT {names} FROM public."{table}" WHERE false; ' if columns else ""  # noqa: S608 - names that migrations give


def _handed_over(function: str) -> str:
    """To the role it runs as; who makes a partition, which copies the trigger, may use it still."""
    # Granted by the new owner: the old one's grant to itself would have become the new one's.
    return (
        f"ALTER FUNCTION {function}() OWNER TO kaireon_capture; SET LOCAL ROLE kaireon_capture;"
        f" GRANT EXECUTE ON FUNCTION {function}() TO kaireon_owner; RESET ROLE"
    )


def _without(row: str, columns: list[str]) -> str:
    return f"({row} - '{{{','.join(columns)}}}'::text[])" if columns else row


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
