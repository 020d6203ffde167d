"""The users table as the release before knows it."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.auth.models import AbstractBaseUser
from django.db import models
from django.utils import timezone


class User(AbstractBaseUser):
    """A user, with preferences in a column of their own."""

    username = models.CharField(max_length=150, unique=True)
    first_name = models.CharField(max_length=150, blank=True)
    last_name = models.CharField(max_length=150, blank=True)
    email = models.EmailField(blank=True)
    is_superuser = models.BooleanField(default=False)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(default=timezone.now)
    preferences = models.JSONField(default=dict, blank=True, null=True)

    objects: ClassVar[models.Manager[User]] = models.Manager()

    USERNAME_FIELD = "username"

    class Meta:
        managed = False
        db_table = "accounts_user"
        default_permissions = ()
