from __future__ import annotations

from django.db import migrations

from orders import append_only


class Migration(migrations.Migration):
    dependencies = [("orders", "0001_initial")]

    operations = [migrations.RunPython(append_only.install, append_only.remove)]
