"""The Django application of the site's users."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Holds the user model."""

    name = "project.accounts"
    verbose_name = "Accounts"
