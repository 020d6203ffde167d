"""The user model of the previous release, in a registry of its own."""

from __future__ import annotations

from django.apps.registry import Apps
from django.db import models
from django.utils import timezone


class PreviousUser(models.Model):
    """A user, with preferences in a column."""

    id = models.BigAutoField(primary_key=True)
    username = models.TextField(unique=True)
    password = models.TextField(default="")
    first_name = models.TextField(default="")
    last_name = models.TextField(default="")
    email = models.TextField(default="")
    is_superuser = models.BooleanField(default=False)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(default=timezone.now)
    last_login = models.DateTimeField(null=True)
    preferences = models.JSONField(default=dict, null=True)

    class Meta:
        apps = Apps()
        app_label = "previous"
        managed = False
        db_table = "accounts_user"

    def __str__(self) -> str:
        return self.username
