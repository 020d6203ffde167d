"""The application that holds the users, under the label it always had."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Holds the user model."""

    name = "tests.previous_release.shop"
    label = "accounts"
    default_auto_field = "django.db.models.BigAutoField"
