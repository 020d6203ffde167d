"""What every command of a site loads and no setting decides: see `forked`."""

from importlib import import_module

for _name in (
    "django.contrib.postgres.fields",
    "django.core.management",
    "django.core.serializers.json",
    "django.db.backends.postgresql.base",
    "django.forms",
    "django.template.backends.django",
    "django.urls",
):
    import_module(_name)
