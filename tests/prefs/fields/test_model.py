"""What the site's user model is made of: a field like any other, and the check E002."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import checks
from django.core.management import call_command
from django.db import connection, models
from django.test import override_settings

from prefs.checks import users_store_their_preferences
from prefs.fields import PreferencesField
from prefs.users import HasPreferences
from project.accounts.models import User

FIELD = User._meta.get_field("preferences")


@pytest.mark.django_db
def test_migrations_see_the_field_that_was_there() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_the_field_is_one_like_any_other() -> None:
    assert isinstance(FIELD, PreferencesField)
    assert (FIELD.concrete, FIELD.column, FIELD.attname) == (True, "preferences", "preferences")
    assert FIELD in User._meta.local_concrete_fields
    plain = models.JSONField(default=dict, blank=True, null=True)
    assert FIELD.deconstruct()[1:] == plain.deconstruct()[1:]
    assert FIELD.db_type(connection) is None


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
    """A model that nobody else finds, of the name that the site gives its users."""
    meta = type("Meta", (), {"app_label": "elsewhere"})
    with override_settings(AUTH_USER_MODEL="elsewhere.Person"):
        try:
            return type("Person", bases, {"__module__": __name__, "Meta": meta, **attributes})
        finally:
            User._meta.apps.all_models["elsewhere"].pop("person", None)
            User._meta.apps.clear_cache()


class Explicit(models.Manager[Any]):
    """A manager of a site's that makes its querysets by itself."""

    def get_queryset(self) -> models.QuerySet[Any]:
        return models.QuerySet(self.model, using=self._db)


class Polite(models.Manager[Any]):
    """One that asks its parent class."""

    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().order_by("pk")


def test_the_check_names_what_a_user_model_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = made(models.Model, preferences=PreferencesField(default=dict))
    base, *managers = complaints(monkeypatch, plain)
    assert "prefs.users.HasPreferences" in base
    assert [each.split()[2] for each in managers] == ["objects", "_base_manager"]
    derived = made(HasPreferences, preferences=PreferencesField(default=dict))
    assert complaints(monkeypatch, derived) == []


def test_the_check_names_a_manager_that_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Case A3."""
    model = made(
        HasPreferences,
        preferences=PreferencesField(default=dict),
        polite=Polite(),
        plain=models.Manager(),
        explicit=Explicit(),
    )
    [hint] = complaints(monkeypatch, model)
    assert "The manager explicit makes querysets of a class of its own" in hint
    assert model._default_manager.name == "polite"


def test_a_user_model_without_the_field_is_nobodys_business(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert complaints(monkeypatch, made(models.Model)) == []
