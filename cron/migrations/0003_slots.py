"""One run for each scheduled moment, whoever sends it and however often; old runs are pruned."""

from django.db import migrations, models

from kaireon.tenancy.rls import READ_WRITE, global_table


class Migration(migrations.Migration):
    dependencies = [("cron", "0002_walls")]

    operations = [
        migrations.AddField(
            model_name="jobrun",
            name="slot",
            field=models.DateTimeField(
                blank=True,
                help_text="The scheduled moment it is for, or makes up for; none when it was extra.",
                null=True,
            ),
        ),
        migrations.AddConstraint(
            model_name="jobrun",
            constraint=models.UniqueConstraint(fields=("job", "slot"), name="one_run_a_slot"),
        ),
        global_table("cron_jobrun", READ_WRITE),
    ]
