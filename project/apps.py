"""The Django application of the site itself: it only gives its commands a home."""

from django.apps import AppConfig


class ProjectConfig(AppConfig):
    """Makes ``manage.py embedded_postgres`` known to Django."""

    name = "project"
    label = "project"
    verbose_name = "Reference site"
