from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("integrations", "0002_told")]

    operations = [
        migrations.AddField(
            model_name="connection", name="told", field=models.JSONField(default=dict, editable=False)
        ),
    ]
