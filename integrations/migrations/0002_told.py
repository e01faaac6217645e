from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """Errors remember which sentence they are."""

    dependencies = [("integrations", "0001_initial")]

    operations = [
        migrations.AddField("importrowerror", "told", models.JSONField(default=dict, editable=False)),
        migrations.AddField("importrun", "told", models.JSONField(default=dict, editable=False)),
    ]
