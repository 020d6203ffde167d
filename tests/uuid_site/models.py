"""The user model: its preferences are where the migration has them."""

from __future__ import annotations

import uuid
from typing import ClassVar, Self

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models

from prefs.fields import PreferencesField
from prefs.users import HasPreferences


class Member(HasPreferences, AbstractBaseUser):
    """A user whose key does not say when they came, in a table whose name needs quoting."""

    code = models.UUIDField(primary_key=True, default=uuid.uuid4, db_column="Code")
    login = models.TextField(unique=True)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)

    preferences = PreferencesField(default=dict, blank=True, null=True)

    objects: ClassVar[BaseUserManager[Self]] = BaseUserManager()

    USERNAME_FIELD = "login"

    class Meta:
        db_table = "Members of old"

    def __str__(self) -> str:
        return self.login
