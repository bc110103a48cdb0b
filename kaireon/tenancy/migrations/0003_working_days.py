"""Which days are no working days for a tenant."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tenancy", "0002_walls"),
    ]

    operations = [
        migrations.AddField(
            model_name="tenant",
            name="holiday_calendar",
            field=models.CharField(
                blank=True,
                default="",
                help_text="Whose public holidays are no working days, such as DE-BE.",
                max_length=32,
            ),
        ),
        migrations.AddField(
            model_name="tenant",
            name="roll_deadlines",
            field=models.BooleanField(
                default=False, help_text="A time that would end on no working day ends on the next one."
            ),
        ),
    ]
