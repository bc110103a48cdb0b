"""Requests of data subjects and all that belongs to them: tables, row-level security, capture, guards.

One migration for the fifteen that came before it, and equal to them.
"""

import django.db.models.deletion
from django.db import migrations, models

import dsar.models.dossier
import kaireon.lib.ids
import kaireon.tenancy.context
from audit.capture.triggers import captured
from compliance.holding.guards import guarded, guarded_contents
from kaireon.tenancy.rls import RESOLVER, resolver_function, tenant_reference, tenant_table

# Without their keys the records of a person are no evidence any more. No hold is placed on the platform's own log.
KEEP_KEYS = """
CREATE TRIGGER hold_contents BEFORE UPDATE ON public.audit_subjectkey FOR EACH ROW
    WHEN (OLD.tenant_id <> '_platform' AND OLD.key_wrapped IS NOT NULL AND NEW.key_wrapped IS NULL)
    EXECUTE FUNCTION public.hold_keeps_contents('audit', 'subjectKey', '', 'subject_id', '');
ALTER TABLE public.audit_subjectkey ENABLE ALWAYS TRIGGER hold_contents;
"""

# What the gauges ask about open requests of all tenants. The resolver sees their dates and nothing of the subject.
WINDOW = f"""
CREATE POLICY resolver ON public.dsar_dsarrequest FOR SELECT TO {RESOLVER} USING (status <> 'completed');
GRANT SELECT (tenant_id, status, due_on, received_at, deadline_on, answered_at) ON public.dsar_dsarrequest TO {RESOLVER};
"""

# A certificate is written once.
APPEND_ONLY = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.dsar_certificate
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse();
"""

# A clock keeps what it began with, and its deadline moves later for a recorded reason only, whatever the code does.
KEEP_CLOCKS = """
CREATE FUNCTION public.dsar_keep_clock() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Earlier is for one that takes over the clock of an earlier request for the same.
    IF NEW.due_on > OLD.due_on OR NEW.received_at > OLD.received_at OR NEW.regulation <> OLD.regulation THEN
        RAISE EXCEPTION 'the due date of a subject request never moves later'
            USING ERRCODE = 'check_violation', HINT = 'Extension and pauses move its deadline.';
    END IF;
    IF (NEW.deadline_on IS NULL OR NEW.deadline_on > NEW.due_on)
       AND NEW.deadline_on IS DISTINCT FROM OLD.deadline_on
       AND NEW.extended_at IS NULL
       AND NOT EXISTS (SELECT FROM public.dsar_clockpause p
                        WHERE p.tenant_id = NEW.tenant_id AND p.request_id = NEW.id) THEN
        RAISE EXCEPTION 'the deadline of a subject request moves later for a recorded reason only'
            USING ERRCODE = 'check_violation', HINT = 'Record the extension or the pause first.';
    END IF;
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION public.dsar_keep_clock() FROM PUBLIC;
CREATE TRIGGER keep_clock BEFORE UPDATE OF due_on, received_at, regulation, deadline_on ON public.dsar_dsarrequest
    FOR EACH ROW EXECUTE FUNCTION public.dsar_keep_clock();
"""

# What an entry says never changes, and no entry goes.
STAYS = """
CREATE FUNCTION public.dsar_erasure_entry_stays() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (NEW.id, NEW.tenant_id, NEW.number, NEW.request_ref, NEW.content, NEW.sha256, NEW.made_at)
       IS NOT DISTINCT FROM
       (OLD.id, OLD.tenant_id, OLD.number, OLD.request_ref, OLD.content, OLD.sha256, OLD.made_at) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'an entry of the journal of erasures stays as it is: % is refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER entry_stays BEFORE UPDATE OR DELETE ON public.dsar_erasureentry
    FOR EACH ROW EXECUTE FUNCTION public.dsar_erasure_entry_stays();
GRANT UPDATE (written_at, sent_at, taken_over_at, replayed_at) ON public.dsar_erasureentry TO kaireon_app;
"""


def key():
    return ("id", models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False))


def tenant():
    return (
        "tenant",
        models.ForeignKey(
            db_constraint=False,
            db_index=False,
            default=kaireon.tenancy.context.tenant_id,
            editable=False,
            on_delete=django.db.models.deletion.DO_NOTHING,
            related_name="+",
            to="tenancy.tenant",
        ),
    )


def reference(name, to):
    return (
        name,
        models.ForeignKey(
            db_constraint=False,
            db_index=False,
            on_delete=django.db.models.deletion.DO_NOTHING,
            related_name="+",
            to=to,
        ),
    )


class Migration(migrations.Migration):
    replaces = [
        ("dsar", "0001_initial"),
        ("dsar", "0002_walls"),
        ("dsar", "0003_gauges"),
        ("dsar", "0004_states"),
        ("dsar", "0005_erasing"),
        ("dsar", "0006_certificates"),
        ("dsar", "0007_life"),
        ("dsar", "0008_clocks"),
        ("dsar", "0009_dossiers"),
        ("dsar", "0010_deferring"),
        ("dsar", "0011_journal"),
        ("dsar", "0012_searches"),
        ("dsar", "0013_letters"),
        ("dsar", "0014_public"),
        ("dsar", "0015_recipients"),
    ]

    initial = True

    dependencies = [
        ("audit", "0005_tree"),
        ("compliance", "0002_walls"),
        ("outbox", "0002_walls"),
        ("tenancy", "0003_working_days"),
    ]

    operations = [
        migrations.CreateModel(
            name="DsarRequest",
            fields=[
                key(),
                (
                    "request_type",
                    models.CharField(
                        choices=[
                            ("export", "Export"),
                            ("delete", "Erasure"),
                            ("portability", "Portability"),
                            ("rectification", "Rectification"),
                            ("restriction", "Restriction of processing"),
                            ("objection", "Objection"),
                            ("opt_out", "Opt-out"),
                            ("grievance", "Grievance"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "subject_type",
                    models.CharField(
                        choices=[("customer_id", "Customer number"), ("email", "E-mail")],
                        default="customer_id",
                        max_length=16,
                    ),
                ),
                ("subject_sealed", models.BinaryField(null=True)),
                ("subject_key", models.CharField(blank=True, default="", editable=False, max_length=80)),
                ("pseudonym", models.CharField(blank=True, default="", editable=False, max_length=80)),
                ("customer_ref", models.UUIDField(blank=True, editable=False, null=True)),
                ("regulation", models.CharField(max_length=16)),
                ("received_at", models.DateTimeField(help_text="When it reached you: the clock starts here.")),
                (
                    "due_on",
                    models.DateField(help_text="The last day in time as the law gives it at receipt. It never moves."),
                ),
                ("requested_at", models.DateTimeField()),
                ("requested_by", models.CharField(max_length=64)),
                ("requested_by_name", models.CharField(blank=True, default="", max_length=200)),
                ("encrypt", models.BooleanField(default=False, help_text="Answer with an encrypted package.")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("processing", "Processing"),
                            ("completed", "Completed"),
                            ("failed", "Failed"),
                        ],
                        default="queued",
                        max_length=16,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("identity", "Waiting for proof of identity"),
                            ("approval", "Waiting for a second person"),
                            ("window", "Waiting, and can still be cancelled"),
                            ("queued", "Queued"),
                            ("running", "Running"),
                            ("finishing", "Rows erased, removing stored files"),
                            ("review", "In review"),
                            ("deferred", "Deferred while something must stay"),
                            ("completed", "Completed"),
                            ("failed", "Failed"),
                        ],
                        default="queued",
                        max_length=24,
                    ),
                ),
                (
                    "outcome",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "-"),
                            ("completed", "Completed"),
                            ("partially_completed", "Partially completed"),
                            ("no_data", "No data about this subject"),
                            ("rejected", "Rejected"),
                            ("withdrawn", "Withdrawn by the subject"),
                            ("duplicate", "Answered by another request"),
                        ],
                        default="",
                        max_length=24,
                    ),
                ),
                (
                    "error",
                    models.CharField(blank=True, default="", help_text="Reason code of a failure.", max_length=64),
                ),
                ("counts", models.JSONField(blank=True, default=dict, help_text="Rows exported or erased, by name.")),
                (
                    "retained",
                    models.JSONField(blank=True, default=list, help_text="What was kept, on which ground, until when."),
                ),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("erased_at", models.DateTimeField(blank=True, help_text="When the rows were erased.", null=True)),
                ("closed_at", models.DateTimeField(blank=True, help_text="Retention counts from here.", null=True)),
                ("package_expires_at", models.DateTimeField(blank=True, null=True)),
                ("job_ref", models.UUIDField(blank=True, editable=False, null=True)),
                tenant(),
                (
                    "article",
                    models.CharField(blank=True, default="", help_text="Where the law allows that.", max_length=80),
                ),
                ("assigned_name", models.CharField(blank=True, default="", max_length=200, verbose_name="assigned to")),
                ("assigned_to", models.CharField(blank=True, default="", editable=False, max_length=64)),
                (
                    "duplicate_of",
                    models.UUIDField(
                        blank=True,
                        editable=False,
                        help_text="The request of the same subject whose answer answers this one.",
                        null=True,
                    ),
                ),
                ("ground", models.CharField(blank=True, default="", help_text="Why it was rejected.", max_length=32)),
                (
                    "identity_method",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "-"),
                            ("code", "A code sent to the subject's address"),
                            ("evidence", "Evidence that an officer saw"),
                            ("vouched", "An officer vouches"),
                        ],
                        default="",
                        editable=False,
                        max_length=16,
                        verbose_name="identity",
                    ),
                ),
                ("identity_proved_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("notes_sealed", models.BinaryField(null=True)),
                ("clock_terms", models.JSONField(blank=True, default=dict, editable=False)),
                (
                    "deadline_on",
                    models.DateField(
                        blank=True,
                        help_text="The last day in time after extension and pauses, in your time zone; none while the clock stands.",
                        null=True,
                        verbose_name="deadline",
                    ),
                ),
                ("extended_at", models.DateTimeField(blank=True, null=True)),
                ("extended_by", models.CharField(blank=True, default="", editable=False, max_length=64)),
                ("extension_reason", models.CharField(blank=True, default="", max_length=500)),
                (
                    "answered_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="When an erasure was answered; what it had to leave may go later.",
                        null=True,
                    ),
                ),
                (
                    "language",
                    models.CharField(blank=True, default="", help_text="Of the letters; BCP 47.", max_length=35),
                ),
            ],
            options={
                "verbose_name": "subject request",
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(fields=["tenant", "-requested_at"], name="dsar_newest"),
                    models.Index(fields=["tenant", "customer_ref"], name="dsar_by_customer"),
                    models.Index(fields=["tenant", "subject_key"], name="dsar_by_subject_key"),
                    models.Index(fields=["tenant", "closed_at"], name="dsar_by_closing"),
                    models.Index(
                        condition=models.Q(("duplicate_of__isnull", False)),
                        fields=["tenant", "duplicate_of"],
                        name="dsar_by_first",
                    ),
                    models.Index(fields=["tenant", "status", "deadline_on"], name="dsar_by_status"),
                    models.Index(
                        condition=models.Q(("status", "completed"), _negated=True),
                        fields=["status", "tenant", "deadline_on", "received_at"],
                        name="dsar_unanswered",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("subject_sealed__isnull", False),
                            models.Q(("pseudonym", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="dsar_subject_or_pseudonym",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "identity"), ("status", "queued")),
                            models.Q(("state", "approval"), ("status", "queued")),
                            models.Q(("state", "window"), ("status", "queued")),
                            models.Q(("state", "queued"), ("status", "queued")),
                            models.Q(("state", "running"), ("status", "processing")),
                            models.Q(("state", "finishing"), ("status", "processing")),
                            models.Q(("state", "review"), ("status", "processing")),
                            models.Q(("state", "deferred"), ("status", "processing")),
                            models.Q(("state", "completed"), ("status", "completed")),
                            models.Q(("state", "failed"), ("status", "failed")),
                            _connector="OR",
                        ),
                        name="dsar_state_fits_status",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Dossier",
            fields=[
                key(),
                ("customer_ref", models.UUIDField(editable=False, null=True)),
                ("sealed", models.BinaryField()),
                ("sha256", models.CharField(help_text="Of the package before sealing.", max_length=64)),
                ("size", models.BigIntegerField(help_text="Bytes before sealing.")),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                tenant(),
                reference("request", "dsar.dsarrequest"),
                ("key_wrapped", models.BinaryField(null=True)),
                (
                    "file",
                    models.FileField(
                        blank=True, editable=False, max_length=255, upload_to=dsar.models.dossier.object_name
                    ),
                ),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(fields=["tenant", "customer_ref"], name="dossier_by_customer"),
                    models.Index(fields=["tenant", "expires_at"], name="dossier_by_expiry"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "request"), name="dossier_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("file", ""), models.Q(("sealed", b""), _negated=True)),
                            models.Q(
                                models.Q(("file", ""), _negated=True), ("key_wrapped__isnull", False), ("sealed", b"")
                            ),
                            _connector="OR",
                        ),
                        name="dossier_is_somewhere",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ErasurePlan",
            fields=[
                key(),
                ("made_at", models.DateTimeField()),
                (
                    "subject",
                    models.CharField(
                        choices=[
                            ("known", "Known"),
                            ("unknown", "Nobody by this name"),
                            ("ambiguous", "Several people by this name"),
                        ],
                        max_length=16,
                    ),
                ),
                ("refs", models.JSONField(blank=True, default=list, help_text="Our own ids of the person.")),
                (
                    "items",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="By entity, class and action: counts, grounds and dates of what stays.",
                    ),
                ),
                ("digest", models.CharField(max_length=64)),
                (
                    "approval_ref",
                    models.UUIDField(blank=True, help_text="The request for a second person's yes.", null=True),
                ),
                ("approved_by", models.CharField(blank=True, default="", max_length=64)),
                ("approved_at", models.DateTimeField(blank=True, null=True)),
                (
                    "window_until",
                    models.DateTimeField(blank=True, help_text="Until then it can be cancelled.", null=True),
                ),
                reference("request", "dsar.dsarrequest"),
                tenant(),
            ],
            options={
                "verbose_name": "erasure plan",
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(
                        condition=models.Q(("approval_ref__isnull", False)),
                        fields=["tenant", "approval_ref"],
                        name="erasure_plan_by_approval",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "request"), name="erasure_plan_once"),
                    models.CheckConstraint(
                        condition=models.Q(("subject__in", ["known", "unknown", "ambiguous"])),
                        name="erasure_plan_subject_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Certificate",
            fields=[
                key(),
                ("content", models.BinaryField(help_text="Canonical JSON; docs/evidence.md has its form.")),
                ("sha256", models.CharField(help_text="Of the content.", max_length=64)),
                ("key_id", models.CharField(help_text="Of the log's key that signed it.", max_length=8)),
                ("tree_size", models.BigIntegerField(help_text="Records under the checkpoint in it.")),
                ("issued_at", models.DateTimeField()),
                reference("request", "dsar.dsarrequest"),
                tenant(),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [models.UniqueConstraint(fields=("tenant", "request"), name="certificate_once")],
            },
        ),
        migrations.CreateModel(
            name="Demand",
            fields=[
                key(),
                (
                    "what",
                    models.CharField(
                        choices=[
                            ("identity", "Proof of identity before any work"),
                            ("review", "An officer's look at a package before it is handed out"),
                        ],
                        max_length=16,
                    ),
                ),
                ("since", models.DateTimeField()),
                tenant(),
            ],
            options={
                "verbose_name": "demand on requests",
                "verbose_name_plural": "demands on requests",
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [models.UniqueConstraint(fields=("tenant", "what"), name="dsar_demand_once")],
            },
        ),
        migrations.CreateModel(
            name="IdentityCheck",
            fields=[
                key(),
                (
                    "asked",
                    models.CharField(
                        choices=[
                            ("", "-"),
                            ("code", "A code sent to the subject's address"),
                            ("evidence", "Evidence that an officer saw"),
                            ("vouched", "An officer vouches"),
                        ],
                        help_text="The method that was asked for.",
                        max_length=16,
                    ),
                ),
                ("code_hash", models.CharField(blank=True, default="", editable=False, max_length=80)),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                ("expires_at", models.DateTimeField(blank=True, help_text="Of the code sent last.", null=True)),
                ("codes_sent", models.PositiveSmallIntegerField(default=0)),
                ("wrong_codes", models.PositiveSmallIntegerField(default=0)),
                reference("request", "dsar.dsarrequest"),
                tenant(),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [models.UniqueConstraint(fields=("tenant", "request"), name="identity_check_once")],
            },
        ),
        migrations.CreateModel(
            name="ClockPause",
            fields=[
                key(),
                (
                    "ground",
                    models.CharField(
                        choices=[("identity", "Identity"), ("fee", "Fee"), ("clarification", "Clarification")],
                        max_length=16,
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        help_text="What was asked for, and why it is needed. Name no customer: it stands in the audit log in clear.",
                        max_length=500,
                    ),
                ),
                ("paused_at", models.DateTimeField()),
                ("paused_by", models.CharField(max_length=64)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("ended_by", models.CharField(blank=True, default="", max_length=64)),
                reference("request", "dsar.dsarrequest"),
                tenant(),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [models.Index(fields=["tenant", "request", "paused_at"], name="clock_pause_by_request")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at", None)),
                        fields=("tenant", "request"),
                        name="clock_pause_one_at_a_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("ended_at", None), ("ended_at__gte", models.F("paused_at")), _connector="OR"
                        ),
                        name="clock_pause_ends_after_it_began",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ErasureStep",
            fields=[
                key(),
                ("turn", models.PositiveSmallIntegerField(default=1)),
                ("position", models.PositiveSmallIntegerField()),
                (
                    "name",
                    models.CharField(
                        choices=[
                            ("rows", "Rows, in one transaction"),
                            ("journal", "The journal outside the database says so"),
                            ("objects", "Stored files, each confirmed gone"),
                            ("verification", "A last look, and the key to the log"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("waiting", "Waiting"), ("done", "Done"), ("failed", "Failed, tried again")],
                        default="waiting",
                        max_length=8,
                    ),
                ),
                ("attempts", models.PositiveIntegerField(default=0)),
                (
                    "error",
                    models.CharField(
                        blank=True, default="", help_text="Reason code of the last failure.", max_length=64
                    ),
                ),
                ("counts", models.JSONField(blank=True, default=dict)),
                ("began_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                reference("request", "dsar.dsarrequest"),
                tenant(),
            ],
            options={
                "verbose_name": "step of an erasure",
                "verbose_name_plural": "steps of erasures",
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "request", "turn", "name"), name="erasure_step_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("finished_at__isnull", False), ("state", "done")),
                            models.Q(("state__in", ["waiting", "failed"]), ("finished_at", None)),
                            _connector="OR",
                        ),
                        name="erasure_step_done_has_its_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("name__in", ["rows", "journal", "objects", "verification"])),
                        name="erasure_step_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ErasureEntry",
            fields=[
                key(),
                ("number", models.BigIntegerField()),
                ("request_ref", models.UUIDField(help_text="The request; it may be gone by now.")),
                ("content", models.BinaryField(help_text="Canonical JSON; docs/evidence.md has its form.")),
                ("sha256", models.CharField(help_text="Of the content.", max_length=64)),
                ("made_at", models.DateTimeField()),
                ("written_at", models.DateTimeField(blank=True, help_text="When the object was read back.", null=True)),
                ("sent_at", models.DateTimeField(blank=True, help_text="When every webhook had it.", null=True)),
                (
                    "taken_over_at",
                    models.DateTimeField(blank=True, help_text="When a restored database learned of it.", null=True),
                ),
                (
                    "replayed_at",
                    models.DateTimeField(blank=True, help_text="When the erasure was done again.", null=True),
                ),
                tenant(),
            ],
            options={
                "verbose_name": "entry of the journal of erasures",
                "verbose_name_plural": "entries of the journal of erasures",
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [models.UniqueConstraint(fields=("tenant", "number"), name="erasure_entry_once")],
            },
        ),
        migrations.CreateModel(
            name="ErasureSearch",
            fields=[
                key(),
                ("names_sealed", models.BinaryField(null=True)),
                ("refs", models.JSONField(blank=True, default=list, help_text="Our own ids of them.")),
                reference("request", "dsar.dsarrequest"),
                tenant(),
            ],
            options={
                "verbose_name": "search of an erasure",
                "verbose_name_plural": "searches of erasures",
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [models.UniqueConstraint(fields=("tenant", "request"), name="erasure_search_once")],
            },
        ),
        migrations.CreateModel(
            name="Letter",
            fields=[
                key(),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("acknowledgement", "Acknowledgement"),
                            ("duplicate", "Answered with an earlier request"),
                            ("extension", "Extension of the time"),
                            ("refusal", "Refusal"),
                            ("deferral", "Done in part, the rest later"),
                            ("completion", "Completion"),
                            ("withdrawal", "Withdrawal confirmed"),
                        ],
                        max_length=16,
                    ),
                ),
                ("number", models.PositiveSmallIntegerField(default=1)),
                ("language", models.CharField(max_length=8)),
                (
                    "template_version",
                    models.PositiveIntegerField(default=0, help_text="Of the tenant's own words; 0: the product's."),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("kept", "Address kept for the answer"),
                            ("waiting", "Waiting to be sent"),
                            ("sent", "Sent"),
                            ("failed", "Failed"),
                            ("not_possible", "To be sent by other means"),
                            ("sent_otherwise", "Sent by other means"),
                            ("dropped", "Not needed any more"),
                        ],
                        default="waiting",
                        max_length=16,
                    ),
                ),
                ("error", models.CharField(blank=True, default="", help_text="Why it was not sent.", max_length=64)),
                (
                    "tries",
                    models.PositiveSmallIntegerField(default=0, help_text="How often the mail server said: later."),
                ),
                ("written_at", models.DateTimeField()),
                ("settled_at", models.DateTimeField(blank=True, help_text="When it was sent, or given up.", null=True)),
                ("job_ref", models.UUIDField(blank=True, editable=False, null=True)),
                reference("request", "dsar.dsarrequest"),
                tenant(),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [models.Index(fields=["tenant", "state"], name="letter_by_state")],
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "request", "kind", "number"), name="letter_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "kind__in",
                                [
                                    "acknowledgement",
                                    "duplicate",
                                    "extension",
                                    "refusal",
                                    "deferral",
                                    "completion",
                                    "withdrawal",
                                ],
                            )
                        ),
                        name="letter_kind_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "state__in",
                                ["kept", "waiting", "sent", "failed", "not_possible", "sent_otherwise", "dropped"],
                            )
                        ),
                        name="letter_state_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="LetterSettings",
            fields=[
                key(),
                (
                    "automatic",
                    models.BooleanField(default=False, help_text="Letters are written and sent by themselves."),
                ),
                (
                    "language",
                    models.CharField(default="en", help_text="Where the subject's is not known.", max_length=8),
                ),
                (
                    "sender",
                    models.CharField(
                        blank=True, default="", help_text="Empty: that of the destination.", max_length=254
                    ),
                ),
                (
                    "contact",
                    models.CharField(blank=True, default="", help_text="Whom the subject can turn to.", max_length=300),
                ),
                (
                    "authority",
                    models.CharField(blank=True, default="", help_text="To whom they can complain.", max_length=300),
                ),
                (
                    "handover",
                    models.CharField(blank=True, default="", help_text="How a package is handed over.", max_length=300),
                ),
                ("changed_at", models.DateTimeField()),
                tenant(),
            ],
            options={
                "verbose_name_plural": "letter settings",
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [models.UniqueConstraint(fields=("tenant",), name="letter_settings_once")],
            },
        ),
        migrations.CreateModel(
            name="LetterTemplate",
            fields=[
                key(),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("acknowledgement", "Acknowledgement"),
                            ("duplicate", "Answered with an earlier request"),
                            ("extension", "Extension of the time"),
                            ("refusal", "Refusal"),
                            ("deferral", "Done in part, the rest later"),
                            ("completion", "Completion"),
                            ("withdrawal", "Withdrawal confirmed"),
                        ],
                        max_length=16,
                    ),
                ),
                ("language", models.CharField(max_length=8)),
                ("subject", models.CharField(blank=True, default="", max_length=150)),
                ("body", models.TextField(blank=True, default="")),
                ("version", models.PositiveIntegerField(default=1)),
                ("written_at", models.DateTimeField()),
                tenant(),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "kind", "language", "version"), name="letter_template_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="LetterText",
            fields=[
                key(),
                ("sealed", models.BinaryField()),
                ("customer_ref", models.UUIDField(blank=True, editable=False, null=True)),
                ("settled_at", models.DateTimeField(blank=True, help_text="Retention counts from here.", null=True)),
                tenant(),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(fields=["tenant", "customer_ref"], name="letter_text_by_customer"),
                    models.Index(fields=["tenant", "settled_at"], name="letter_text_by_end"),
                ],
            },
        ),
        migrations.CreateModel(
            name="FollowLink",
            fields=[
                key(),
                ("code_hash", models.CharField(blank=True, default="", editable=False, max_length=80)),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                ("expires_at", models.DateTimeField(blank=True, help_text="Of the code sent last.", null=True)),
                ("codes_sent", models.PositiveSmallIntegerField(default=0)),
                ("wrong_codes", models.PositiveSmallIntegerField(default=0)),
                ("token_hash", models.CharField(editable=False, max_length=64)),
                ("made_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                reference("request", "dsar.dsarrequest"),
                tenant(),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [models.Index(fields=["tenant", "ends_at"], name="follow_link_by_end")],
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "request"), name="follow_link_once"),
                    models.UniqueConstraint(fields=("tenant", "token_hash"), name="follow_link_by_token"),
                ],
            },
        ),
        migrations.CreateModel(
            name="PublicFiling",
            fields=[
                key(),
                ("code_hash", models.CharField(blank=True, default="", editable=False, max_length=80)),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                ("expires_at", models.DateTimeField(blank=True, help_text="Of the code sent last.", null=True)),
                ("codes_sent", models.PositiveSmallIntegerField(default=0)),
                ("wrong_codes", models.PositiveSmallIntegerField(default=0)),
                ("handle_hash", models.CharField(editable=False, max_length=64)),
                (
                    "request_type",
                    models.CharField(
                        choices=[
                            ("export", "Export"),
                            ("delete", "Erasure"),
                            ("portability", "Portability"),
                            ("rectification", "Rectification"),
                            ("restriction", "Restriction of processing"),
                            ("objection", "Objection"),
                            ("opt_out", "Opt-out"),
                            ("grievance", "Grievance"),
                        ],
                        max_length=16,
                    ),
                ),
                ("regulation", models.CharField(max_length=16)),
                ("sealed", models.BinaryField()),
                ("subject_ref", models.UUIDField(blank=True, editable=False, null=True)),
                ("received_at", models.DateTimeField()),
                ("codes_asked", models.PositiveSmallIntegerField(default=1)),
                ("ends_at", models.DateTimeField(help_text="Nothing comes of it any more from here on.")),
                tenant(),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(fields=["tenant", "subject_ref"], name="public_filing_by_subject"),
                    models.Index(fields=["tenant", "ends_at"], name="public_filing_by_end"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "handle_hash"), name="public_filing_by_handle")
                ],
            },
        ),
        migrations.CreateModel(
            name="PublicPage",
            fields=[
                key(),
                (
                    "contact",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="How else to reach you about personal data. Shown to all.",
                        max_length=500,
                    ),
                ),
                ("since", models.DateTimeField()),
                tenant(),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [models.UniqueConstraint(fields=("tenant",), name="public_page_once")],
            },
        ),
        migrations.CreateModel(
            name="Recipient",
            fields=[
                key(),
                ("name", models.CharField(help_text="As the subject is told it.", max_length=120)),
                (
                    "knows_by",
                    models.CharField(
                        choices=[("customer_id", "Customer number"), ("email", "E-mail")],
                        default="customer_id",
                        help_text="By what it finds the person in what it got.",
                        max_length=16,
                    ),
                ),
                (
                    "sections",
                    models.JSONField(blank=True, default=list, help_text="What it got, by section; empty: everything."),
                ),
                ("is_enabled", models.BooleanField(default=True, help_text="One that is off is told nothing more.")),
                ("changed_at", models.DateTimeField()),
                reference("destination", "outbox.destination"),
                tenant(),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [models.UniqueConstraint(fields=("tenant", "name"), name="recipient_name_once")],
            },
        ),
        migrations.CreateModel(
            name="RecipientNotice",
            fields=[
                key(),
                ("number", models.PositiveSmallIntegerField(default=1)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("erasure", "Erasure"),
                            ("rectification", "Rectification"),
                            ("restriction", "Restriction of processing"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "article",
                    models.CharField(blank=True, default="", help_text="Where the law wants it told.", max_length=80),
                ),
                ("sections", models.JSONField(blank=True, default=list)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "On its way"),
                            ("told", "Told"),
                            ("failed", "Could not be told"),
                            ("not_told", "Not told, for a reason"),
                        ],
                        default="waiting",
                        max_length=16,
                    ),
                ),
                (
                    "error",
                    models.CharField(blank=True, default="", help_text="Why it could not be told.", max_length=64),
                ),
                (
                    "effort",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "-"),
                            ("impossible", "It proves impossible"),
                            ("disproportionate", "It involves disproportionate effort"),
                        ],
                        default="",
                        max_length=16,
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        blank=True, default="", help_text="Why it was not told. Names nobody.", max_length=500
                    ),
                ),
                ("message_ref", models.UUIDField(blank=True, editable=False, null=True)),
                ("made_at", models.DateTimeField()),
                ("settled_at", models.DateTimeField(blank=True, null=True)),
                reference("recipient", "dsar.recipient"),
                reference("request", "dsar.dsarrequest"),
                tenant(),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [models.Index(fields=["tenant", "message_ref"], name="notice_by_message")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "request", "recipient", "number"), name="notice_to_recipient_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("state", "not_told"), ("effort", ""), _connector="XOR"),
                        name="notice_not_told_for_a_reason",
                    ),
                ],
            },
        ),
        tenant_table("dsar_dsarrequest"),
        tenant_table("dsar_dossier"),
        tenant_reference("dsar_dossier", "request_id", "dsar_dsarrequest", on_delete="CASCADE"),
        captured(
            "dsar_dsarrequest",
            "DsarRequest",
            subject="customer_ref",
            personal=["subject_sealed", "subject_key", "pseudonym", "notes_sealed"],
            ignore=["job_ref"],
        ),
        captured(
            "dsar_dossier",
            "Dossier",
            subject="customer_ref",
            # The name of the object is the key to the bytes: what is left of it in the log must not find them.
            secret=["sealed", "key_wrapped", "file"],
            personal=["sha256"],
            exact=["size"],
        ),
        guarded("dsar_dsarrequest", "dsar"),
        guarded("dsar_dossier", "dsar"),
        guarded_contents("dsar_dsarrequest", "dsar", emptied=["subject_sealed"]),
        migrations.RunSQL(KEEP_KEYS, "DROP TRIGGER hold_contents ON public.audit_subjectkey"),
        migrations.RunSQL(WINDOW, ""),
        resolver_function(
            "gauge_requests(moment timestamptz)",
            "TABLE (status text, requests bigint, overdue bigint, oldest timestamptz)",
            """
            SELECT r.status::text, count(*),
                   count(*) FILTER (WHERE r.answered_at IS NULL
                                      AND r.deadline_on < (moment AT TIME ZONE t.time_zone)::date),
                   min(r.received_at) FILTER (WHERE r.answered_at IS NULL)
              FROM public.dsar_dsarrequest r JOIN public.tenancy_tenant t ON t.id = r.tenant_id
             WHERE r.status <> 'completed' GROUP BY 1
            """,
        ),
        tenant_table("dsar_erasureplan"),
        tenant_reference("dsar_erasureplan", "request_id", "dsar_dsarrequest", on_delete="CASCADE"),
        captured("dsar_erasureplan", "ErasurePlan"),
        tenant_table("dsar_certificate", "SELECT, INSERT"),
        tenant_reference("dsar_certificate", "request_id", "dsar_dsarrequest"),
        captured("dsar_certificate", "Certificate", secret=["content"], exact=["tree_size"]),
        migrations.RunSQL(APPEND_ONLY, "DROP TRIGGER append_only ON public.dsar_certificate"),
        tenant_table("dsar_demand", "SELECT, INSERT, DELETE"),
        tenant_table("dsar_identitycheck"),
        tenant_reference("dsar_identitycheck", "request_id", "dsar_dsarrequest", on_delete="CASCADE"),
        tenant_reference("dsar_dsarrequest", "duplicate_of", "dsar_dsarrequest"),
        captured("dsar_demand", "Demand", name="what"),
        captured("dsar_identitycheck", "IdentityCheck", secret=["code_hash"]),
        tenant_table("dsar_clockpause", "SELECT, INSERT, UPDATE"),
        tenant_reference("dsar_clockpause", "request_id", "dsar_dsarrequest", on_delete="CASCADE"),
        captured("dsar_clockpause", "ClockPause"),
        migrations.RunSQL(KEEP_CLOCKS, ""),
        tenant_table("dsar_erasurestep"),
        tenant_reference("dsar_erasurestep", "request_id", "dsar_dsarrequest", on_delete="CASCADE"),
        captured("dsar_erasurestep", "ErasureStep"),
        tenant_table("dsar_erasureentry", "SELECT, INSERT"),
        captured("dsar_erasureentry", "ErasureEntry", secret=["content"], exact=["number"]),
        migrations.RunSQL(
            STAYS, "DROP TRIGGER entry_stays ON public.dsar_erasureentry; DROP FUNCTION public.dsar_erasure_entry_stays"
        ),
        tenant_table("dsar_erasuresearch"),
        tenant_reference("dsar_erasuresearch", "request_id", "dsar_dsarrequest", on_delete="CASCADE"),
        captured("dsar_erasuresearch", "ErasureSearch", secret=["names_sealed"]),
        *(tenant_table(f"dsar_{name}") for name in ("letter", "lettertext", "lettersettings", "lettertemplate")),
        tenant_reference("dsar_letter", "request_id", "dsar_dsarrequest", on_delete="CASCADE"),
        captured("dsar_letter", "Letter", ignore=["job_ref"]),
        captured("dsar_lettertext", "LetterText", subject="customer_ref", secret=["sealed"]),
        captured("dsar_lettersettings", "LetterSettings"),
        captured("dsar_lettertemplate", "LetterTemplate"),
        guarded("dsar_lettertext", "dsar"),
        tenant_table("dsar_publicpage"),
        tenant_table("dsar_publicfiling"),
        tenant_table("dsar_followlink"),
        tenant_reference("dsar_followlink", "request_id", "dsar_dsarrequest", on_delete="CASCADE"),
        captured("dsar_publicpage", "PublicPage"),
        captured("dsar_publicfiling", "PublicFiling", secret=["sealed", "handle_hash", "code_hash"]),
        captured("dsar_followlink", "FollowLink", secret=["token_hash", "code_hash"]),
        guarded("dsar_publicfiling", "dsar"),
        tenant_table("dsar_recipient"),
        tenant_table("dsar_recipientnotice"),
        tenant_reference("dsar_recipient", "destination_id", "outbox_destination"),
        tenant_reference("dsar_recipientnotice", "request_id", "dsar_dsarrequest", on_delete="CASCADE"),
        tenant_reference("dsar_recipientnotice", "recipient_id", "dsar_recipient"),
        captured("dsar_recipient", "Recipient"),
        captured("dsar_recipientnotice", "RecipientNotice", ignore=["message_ref"]),
    ]
