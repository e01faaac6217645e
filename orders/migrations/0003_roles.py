from __future__ import annotations

from django.db import migrations

from orders.access import remove_roles, sync_roles


def make_roles(apps, schema_editor):
    sync_roles(apps)


def unmake_roles(apps, schema_editor):
    remove_roles(apps)


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0002_append_only"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(make_roles, unmake_roles)]
