"""The user model with the plain field that this release moves away."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """A user of the shop."""

    preferences: models.Field[Any, Any] = models.JSONField(default=dict, null=True, blank=True)
