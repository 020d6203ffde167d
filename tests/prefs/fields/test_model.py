"""What the site's user model is made of: a field outside the migrations, and the check E002."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import checks
from django.core.management import call_command
from django.db import models

from prefs.checks import users_store_their_preferences
from prefs.fields import PreferencesField
from prefs.users import HasPreferences
from project.accounts.models import User

FIELD = User._meta.get_field("preferences")


@pytest.mark.django_db
def test_migrations_know_nothing_of_the_field() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_the_field_has_no_column() -> None:
    assert isinstance(FIELD, PreferencesField)
    assert (FIELD.concrete, FIELD.column, FIELD.attname) == (False, None, "preferences")
    assert FIELD not in User._meta.local_fields
    assert FIELD not in User._meta.concrete_fields


def test_the_model_keeps_the_names_that_django_gives_users() -> None:
    assert (User._meta.verbose_name, User._meta.verbose_name_plural) == ("user", "users")


def test_the_sites_model_passes_the_check() -> None:
    assert users_store_their_preferences() == []


def complaints(monkeypatch: pytest.MonkeyPatch, model: Any) -> list[str]:
    monkeypatch.setattr("prefs.checks.get_user_model", lambda: model)
    found = users_store_their_preferences()
    assert {(each.id, each.level) for each in found} <= {("prefs.E002", checks.ERROR)}
    return [str(each.hint) for each in found]


def made(*bases: type[models.Model], **attributes: Any) -> Any:
    """A model that nobody else finds."""
    meta = type("Meta", (), {"app_label": "accounts"})
    try:
        return type("Person", bases, {"__module__": __name__, "Meta": meta, **attributes})
    finally:
        User._meta.apps.all_models["accounts"].pop("person", None)
        User._meta.apps.clear_cache()


def test_the_check_names_what_a_user_model_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = made(models.Model, preferences=PreferencesField(default=dict))
    model, manager = complaints(monkeypatch, plain)
    assert "prefs.users.HasPreferences" in model
    assert "prefs.querysets.PreferencesQuerySet" in manager
    derived = made(HasPreferences, preferences=PreferencesField(default=dict))
    assert len(complaints(monkeypatch, derived)) == 1


def test_a_user_model_without_the_field_is_nobodys_business(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert complaints(monkeypatch, made(models.Model)) == []
