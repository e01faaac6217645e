from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("integrations", "0003_why_it_failed")]

    operations = [
        migrations.AddField(
            model_name="apitoken", name="n_left", field=models.FloatField(default=0, editable=False)
        ),
        migrations.AddField(
            model_name="apitoken", name="left_at", field=models.FloatField(default=0, editable=False)
        ),
    ]
