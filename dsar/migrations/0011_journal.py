"""The journal of erasures: what its objects outside the database say, and the step that writes them."""

import django.db.models.deletion
from django.db import migrations, models

import kaireon.lib.ids
import kaireon.tenancy.context
from audit.capture.triggers import captured
from kaireon.tenancy.rls import tenant_table

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


class Migration(migrations.Migration):
    dependencies = [("dsar", "0010_deferring"), ("tenancy", "0002_walls")]

    operations = [
        migrations.RemoveConstraint(model_name="erasurestep", name="erasure_step_known"),
        migrations.AlterField(
            model_name="erasurestep",
            name="name",
            field=models.CharField(
                choices=[
                    ("rows", "Rows, in one transaction"),
                    ("journal", "The journal outside the database says so"),
                    ("objects", "Stored files, each confirmed gone"),
                    ("verification", "A last look, and the key to the log"),
                ],
                max_length=16,
            ),
        ),
        migrations.AddConstraint(
            model_name="erasurestep",
            constraint=models.CheckConstraint(
                condition=models.Q(("name__in", ["rows", "journal", "objects", "verification"])),
                name="erasure_step_known",
            ),
        ),
        migrations.CreateModel(
            name="ErasureEntry",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("number", models.BigIntegerField()),
                ("request_ref", models.UUIDField(help_text="The request; it may be gone by now.")),
                (
                    "content",
                    models.BinaryField(editable=False, help_text="Canonical JSON; docs/evidence.md has its form."),
                ),
                ("sha256", models.CharField(help_text="Of the content.", max_length=64)),
                ("made_at", models.DateTimeField()),
                (
                    "written_at",
                    models.DateTimeField(blank=True, help_text="When the object was read back.", null=True),
                ),
                (
                    "sent_at",
                    models.DateTimeField(blank=True, help_text="When every webhook had it.", null=True),
                ),
                (
                    "taken_over_at",
                    models.DateTimeField(blank=True, help_text="When a restored database learned of it.", null=True),
                ),
                (
                    "replayed_at",
                    models.DateTimeField(blank=True, help_text="When the erasure was done again.", null=True),
                ),
                (
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
                ),
            ],
            options={
                "verbose_name": "entry of the journal of erasures",
                "verbose_name_plural": "entries of the journal of erasures",
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [models.UniqueConstraint(fields=("tenant", "number"), name="erasure_entry_once")],
            },
        ),
        tenant_table("dsar_erasureentry", "SELECT, INSERT"),
        captured("dsar_erasureentry", "ErasureEntry", secret=["content"], exact=["number"]),
        migrations.RunSQL(
            STAYS, "DROP TRIGGER entry_stays ON public.dsar_erasureentry; DROP FUNCTION public.dsar_erasure_entry_stays"
        ),
    ]
