"""What is still under way, or lies about though nobody will come back for it."""

import psycopg

from tests.chaos.stage import Stage

# What it is called when it is not settled, and the rows that are it.
OPEN = {
    "job": """
        SELECT type || ' ' || id || ' of ' || tenant_id || ': ' || state || ', attempts ' || attempts || ', failures '
               || failures || ', crashes ' || crashes || ', losses ' || losses || ', error "' || error || '", due '
               || due_at || ', lease ' || coalesce(lease_until::text, '-')
          FROM jobs_job WHERE state IN ('queued', 'running')""",
    "message": """
        SELECT id || ' of ' || tenant_id || ': ' || state || ', failures ' || failures || ', losses ' || losses
               || ', error "' || error || '", due ' || due_at || ', lease ' || coalesce(lease_until::text, '-')
          FROM outbox_message WHERE state IN ('pending', 'sending')""",
    "flow run": """
        SELECT name || ' ' || id || ' of ' || tenant_id || ': ' || state || ', error "' || error || '"'
          FROM flows_flowrun WHERE state NOT IN ('done', 'failed')""",
    "rows between steps": """
        SELECT name || ' ' || id || ' of ' || tenant_id FROM flows_flowrun WHERE keeps_batches AND state = 'done'""",
    "request": """
        SELECT request_type || ' ' || id || ' of ' || tenant_id || ': ' || state || ', error "' || error || '"'
          FROM dsar_dsarrequest WHERE status NOT IN ('completed', 'failed')""",
    "object to be removed": "SELECT id || ' of ' || tenant_id FROM customers_objectremoval WHERE gone_at IS NULL",
    "import": "SELECT id || ' of ' || tenant_id FROM customers_importrun WHERE finished_at IS NULL",
    # Jobs of every minute go on bringing some: one of a moment ago is on its way.
    "unsequenced record": """
        SELECT action || ' of ' || tenant_id FROM audit_inbox WHERE "timestamp" < now() - interval '2 seconds'""",
    "run of a scheduled job": "SELECT job || ', since ' || started_at FROM cron_jobrun WHERE finished_at IS NULL",
}


def unsettled(stage: Stage) -> list[str]:
    """A line for each thing that is not settled; PostgreSQL itself, while it is down."""
    try:
        with stage.superuser() as connection:
            return [
                f"{what}: {line}"
                for what, query in OPEN.items()
                for (line,) in connection.execute(query).fetchall()  # type: ignore[arg-type]
            ]
    except psycopg.OperationalError as error:
        return [f"PostgreSQL: {type(error).__name__}"]


def left_lying(stage: Stage) -> list[str]:
    """Files in storage that belong to nothing: rows between the steps of runs, or halves of anything."""
    found = [path for path in stage.objects.rglob("*") if path.is_file()]
    with stage.superuser() as connection:
        messages = {str(row[0]) for row in connection.execute("SELECT id FROM outbox_message WHERE state = 'done'")}
        attached = {str(row[0]) for row in connection.execute("SELECT file FROM customers_attachment")}
        signed = {
            f"checkpoints/{tenant}/{size:018d}.txt"
            for tenant, size in connection.execute("SELECT tenant_id, tree_size FROM audit_checkpoint")
        }
        # The journal of erasures, and beside each checkpoint how long it was.
        journal = {
            f"erasures/{tenant}/{number:018d}.json"
            for tenant, number in connection.execute("SELECT tenant_id, number FROM dsar_erasureentry")
        } | {
            f"erasures/{tenant}/at/{size:018d}.json"
            for tenant, size in connection.execute("SELECT tenant_id, tree_size FROM audit_checkpoint")
        }
        exported = {
            str(row[0])
            for row in connection.execute("SELECT object_name FROM customers_exportbatch WHERE removed_at IS NULL")
        } | {
            f"exports/{tenant}/interaction_history/_manifests/{number:010d}.json"
            for tenant, number in connection.execute("SELECT tenant_id, number FROM customers_exportentry")
        }
        reports = {str(row[0]) for row in connection.execute("SELECT file FROM compliance_reportfile")}
        flows = {str(row[0]) for row in connection.execute("SELECT name FROM flows_pipeline")}
    faults = []
    for path in found:
        name = str(path.relative_to(stage.objects))
        top, *_ = name.split("/")
        known = {
            "outbox": lambda: path.stem in messages,  # noqa: B023  called at once
            "checkpoints": lambda: name in signed,  # noqa: B023
            "erasures": lambda: name in journal,  # noqa: B023
            "exports": lambda: name in exported,  # noqa: B023
            "reports": lambda: name in reports,  # noqa: B023
            "flows": lambda: "/out/" in name and path.stem in flows,  # noqa: B023
        }.get(top, lambda: name in attached)  # noqa: B023
        if not known():
            faults.append(f"left lying in storage: {name}")
    return faults
