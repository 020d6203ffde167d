"""Every way to write a user's document by this code, each as a function of user and patch."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction

from prefs.models import UserPreferences
from tests.support import stores
from tests.support.reaching import DEFAULT


def merge(user: int, patch: dict[str, Any], using: str = DEFAULT) -> None:
    UserPreferences.objects.db_manager(using).merge(user, patch)


def replace(user: int, patch: dict[str, Any], using: str = DEFAULT) -> None:
    """Put back the stored document with the patch's keys in it, which needs a lock before."""
    manager = UserPreferences.objects.db_manager(using)
    users = get_user_model()._default_manager.using(using)
    with transaction.atomic(using=using):
        users.select_for_update(no_key=True).get(pk=user)
        manager.replace(user, {**manager.document(user), **patch})


def change(user: int, patch: dict[str, Any], using: str = DEFAULT) -> None:
    changes = {key: [value] for key, value in patch.items()}
    UserPreferences.objects.db_manager(using).change({user: changes})


every_write = pytest.mark.parametrize("write", [merge, replace, change], ids=lambda f: f.__name__)


def raw(user: int, patch: str) -> None:
    """What a writer that knows nothing of the migration does to the blob."""
    stores.query(
        "UPDATE accounts_user SET preferences = coalesce(preferences, '{}') || %s::jsonb"
        " WHERE id = %s",
        [patch, user],
    )
