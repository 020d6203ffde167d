"""The users."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """A user as the site had them before the migration."""

    preferences = models.JSONField(default=dict, blank=True, null=True)

    class Meta:
        managed = False
        db_table = "accounts_user"
        app_label = "site"
