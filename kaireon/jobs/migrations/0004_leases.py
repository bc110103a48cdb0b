"""What happens to every job, as functions: the plan is kept, and one call outside any transaction is a transaction.

They run as the caller, behind the tenant's wall, and say the tenant to it where nobody has.
"""

from django.db import migrations

from kaireon.tenancy.rls import APP

FUNCTIONS = {
    # What may be claimed is what due_jobs finds. Not durably: a server that crashes may forget the claim, as if nobody
    # had come; whoever made it finds the lease lost.
    "claim_job(tenant text, job uuid, token uuid, lease_end timestamptz, moment timestamptz, paused text[], "
    "durably boolean, fresh boolean) RETURNS SETOF public.jobs_job": """
        IF NOT durably THEN
            PERFORM set_config('synchronous_commit', 'off', true);
        END IF;
        RETURN QUERY
        UPDATE public.jobs_job j
           SET state = 'running', lease_token = token, lease_until = lease_end, attempts = j.attempts + 1,
               losses = j.losses + (j.state = 'running')::int, started_at = coalesce(j.started_at, moment)
         WHERE j.tenant_id = tenant AND j.id = job AND j.type <> ALL (paused)
           AND (j.attempts = 0 OR NOT fresh)
           AND (j.state = 'queued' AND j.due_at <= moment OR j.state = 'running' AND j.lease_until <= moment)
        RETURNING j.*;
    """,
    "finish_job(tenant text, job uuid, token uuid, outcome jsonb, moment timestamptz) RETURNS boolean": """
        UPDATE public.jobs_job j
           SET state = 'done', lease_token = NULL, lease_until = NULL, error = '', result = outcome,
               finished_at = moment
         WHERE j.tenant_id = tenant AND j.id = job AND j.state = 'running' AND j.lease_token = token;
        RETURN FOUND;
    """,
}


def _created(declaration: str, body: str) -> migrations.RunSQL:
    name, _, rest = declaration.partition("(")
    arguments, _, returned = rest.partition(") RETURNS ")
    types = ", ".join(argument.split()[-1] for argument in arguments.split(","))
    return migrations.RunSQL(
        f"""
        CREATE FUNCTION public.{name}({arguments}) RETURNS {returned}
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF coalesce(current_setting('app.tenant_id', true), '') = '' THEN
                PERFORM set_config('app.tenant_id', tenant, true);
            END IF;
            {body}
        END $$;
        REVOKE ALL ON FUNCTION public.{name}({types}) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION public.{name}({types}) TO {APP};
        """,
        f"DROP FUNCTION public.{name}({types})",
    )


class Migration(migrations.Migration):
    dependencies = [("jobs", "0003_gauges")]

    operations = [_created(declaration, body) for declaration, body in FUNCTIONS.items()]
