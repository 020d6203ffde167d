"""The site's test suite: tests that commit, and are followed by others."""

from __future__ import annotations

from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.test import TestCase, TransactionTestCase
from waffle.models import Switch

from prefs.engine.integrity import problems
from prefs.engine.states import State, current_state
from prefs.models import AuditEntry, UserPreferences
from prefs.routing import Route
from prefs.testing import turn
from project.accounts.models import User

DATABASES = {"default", "other"}


def a_user_comes_and_writes(alias: str) -> None:
    """In a database that is as if no other test had been there."""
    assert not User.objects.using(alias).exists()
    assert not AuditEntry.objects.using(alias).exists()
    assert Switch.objects.using(alias).count() == 2
    assert current_state(alias) is State.EXPANDED
    user = User(username="ada", preferences={"theme": "dark", "n": 1.0})
    user.save(using=alias)
    documents = UserPreferences.objects.db_manager(alias)
    assert documents.merge(user.pk, {"theme": "light"}) == {"theme": "light", "n": 1.0}
    assert User.objects.using(alias).get().preferences == {"theme": "light", "n": 1.0}


class Works:
    """What classes of tests do."""

    def test_in_each_database(self) -> None:
        for alias in DATABASES:
            a_user_comes_and_writes(alias)
            assert problems(alias) == []

    def test_in_the_route_of_the_last_state(self) -> None:
        a_user_comes_and_writes("default")
        turn(Route.TABLES)
        user = User.objects.create(username="bob", preferences={"theme": "dark"})
        assert UserPreferences.objects.get(pk=user.pk).theme == "dark"
        Switch.objects.create(name="a_switch_of_ours", active=True)


class Rolled(Works, TestCase):
    """Tests whose transactions are rolled back."""

    databases = DATABASES


class Committed(Works, TransactionTestCase):
    """Tests that commit, with a flush after each."""

    databases = DATABASES

    def test_with_a_transition_of_the_operators(self) -> None:
        a_user_comes_and_writes("default")
        call_command("backfill_prefs", verbosity=0)
        call_command("advance_prefs", verbosity=0)
        assert current_state("default") is State.DUAL_WRITE
        assert problems("default") == []


class Serialized(TransactionTestCase):
    """A test with what migrations have stored loaded again before it.

    Django cannot run it after Committed: the content types are made anew with other keys.
    """

    databases = DATABASES
    serialized_rollback = True

    def test_what_migrations_stored_is_there(self) -> None:
        a_user_comes_and_writes("other")
        assert ContentType.objects.exists()


class Zoned(TransactionTestCase):
    """A test after those; by its name the last."""

    databases = DATABASES

    def test_after_the_others(self) -> None:
        a_user_comes_and_writes("default")
