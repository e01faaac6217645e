"""The index that the live feed follows on PostgreSQL."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orders", "0005_reasoncode")]

    operations = [
        migrations.AddIndex(
            model_name="orderevent",
            index=models.Index(
                condition=models.Q(("xid__gt", 0)), fields=["xid", "id"], name="event_committed"
            ),
        ),
    ]
