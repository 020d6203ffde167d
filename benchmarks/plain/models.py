"""The users table with its plain column, and the typed tables without this package's managers."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import models

from prefs import models as typed


class User(AbstractBaseUser):
    """A user as the site had them before the migration."""

    username = models.CharField(max_length=150, unique=True)
    preferences = models.JSONField(default=dict, null=True)

    objects: ClassVar[models.Manager[User]] = models.Manager()

    USERNAME_FIELD = "username"

    class Meta:
        managed = False
        db_table = "accounts_user"
        default_permissions = ()


def _plain_account() -> Any:
    """The site's user model, with all its columns and a plain JSONField among them."""
    columns = {f.name: f.clone() for f in get_user_model()._meta.concrete_fields}
    meta = type(
        "Meta", (), {"managed": False, "db_table": User._meta.db_table, "default_permissions": ()}
    )
    return type(
        "PlainAccount", (AbstractBaseUser,), {"__module__": __name__, "Meta": meta, **columns}
    )


def _plain(model: type[models.Model]) -> Any:
    """A model of the same table and columns with Django's own manager."""
    columns = {f.name: f.clone() for f in model._meta.concrete_fields if not f.primary_key}
    meta = type(
        "Meta",
        (),
        {"managed": False, "db_table": model._meta.db_table, "default_permissions": ()},
    )
    user_id = models.BigIntegerField(primary_key=True)
    body = {"__module__": __name__, "Meta": meta, "user_id": user_id, **columns}
    return type(f"Plain{model.__name__}", (models.Model,), body)


PlainUserPreferences = _plain(typed.UserPreferences)
PlainNotificationPreferences = _plain(typed.NotificationPreferences)
PlainAccount = _plain_account()
