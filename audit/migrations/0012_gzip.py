"""Whether a SIEM gets its events as gzip."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0011_shipping")]

    operations = [
        migrations.AddField(
            model_name="siemdestination",
            name="is_gzipped",
            field=models.BooleanField(
                default=True,
                help_text="Events travel as gzip, plain only where that is refused; off: always plain.",
                verbose_name="gzip",
            ),
        ),
    ]
