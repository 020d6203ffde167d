"""Only READ COMMITTED writes; whatever sets another level, the write is refused and reads work."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction
from psycopg import IsolationLevel

from prefs.engine.states import Gate, State
from prefs.managers import UnsupportedIsolation
from prefs.models import NotificationPreferences, UserPreferences
from tests.prefs.callers.writing import change, merge, replace
from tests.support import stores
from tests.support.reaching import DEFAULT, second_alias
from tests.support.refusals import finding
from tests.support.stores import Place, query

LEVELS = [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE]
BEFORE = {"theme": "light", "notifications": {"email": {"marketing": True}}}


def words(level: IsolationLevel) -> str:
    return level.name.replace("_", " ")


@contextmanager
def by_options(site: str, level: IsolationLevel) -> Iterator[str]:
    with second_alias(OPTIONS={"isolation_level": level}) as alias:
        yield alias


@contextmanager
def by_startup(site: str, level: IsolationLevel) -> Iterator[str]:
    setting = words(level).lower().replace(" ", r"\ ")
    startup = {"options": f"-c default_transaction_isolation={setting}"}
    with second_alias(OPTIONS=startup) as alias:
        yield alias


@contextmanager
def by_set_transaction(site: str, level: IsolationLevel) -> Iterator[str]:
    with second_alias() as alias, transaction.atomic(using=alias):
        run(alias, f"SET TRANSACTION ISOLATION LEVEL {words(level)}")
        yield alias


@contextmanager
def by_role(site: str, level: IsolationLevel) -> Iterator[str]:
    """A role of its own, in its database only: the gates of every other would see it."""
    role = f"{site}_role"
    query(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'x'")
    try:
        setting = f"default_transaction_isolation = '{words(level).lower()}'"
        query(f'ALTER ROLE {role} IN DATABASE "{site}" SET {setting}')
        plain = "django.db.backends.postgresql"
        with second_alias(ENGINE=plain, USER=role, PASSWORD="x") as alias:
            yield alias
    finally:
        query(f"DROP ROLE {role}")


@contextmanager
def by_database(site: str, level: IsolationLevel) -> Iterator[str]:
    setting = f'ALTER DATABASE "{site}" %s default_transaction_isolation'
    query(f"{setting % 'SET'} = '{words(level).lower()}'")
    try:
        with second_alias() as alias:
            yield alias
    finally:
        query(setting % "RESET")


Way = Callable[[str, IsolationLevel], AbstractContextManager[str]]
STORED: list[Way] = [by_options, by_startup, by_role, by_database]


def run(alias: str, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connections[alias].cursor() as cursor:
        cursor.execute(statement, parameters or None)
        return list(cursor.fetchall()) if cursor.description else []


def refused(alias: str, error: type[Exception], said: str, work: Callable[[], object]) -> None:
    """The work raises, in a transaction or in a savepoint of the one that is open."""
    with pytest.raises(error, match=said), transaction.atomic(using=alias):
        work()


def refuses_every_write(place: Place, alias: str, level: IsolationLevel, user: int) -> None:
    """Managers, rows by the ORM, the blob by raw SQL."""
    named = f"at {words(level)}. Nothing was written"
    for write in (merge, replace, change):
        work: Callable[[], object] = partial(write, user, {"x": 1}, using=alias)
        refused(alias, UnsupportedIsolation, named, work)
    row = UserPreferences(pk=user, theme="dark")
    refused(alias, UnsupportedIsolation, named, partial(row.save, using=alias))
    wants = NotificationPreferences(pk=user, push_security=True)
    refused(alias, UnsupportedIsolation, named, partial(wants.save, using=alias))
    if place.has_column:
        said = f"READ COMMITTED only; this transaction is at {words(level)}"
        statement = f"UPDATE accounts_user SET preferences = '{{}}' WHERE id = {user}"
        refused(alias, DatabaseError, said, partial(run, alias, statement))


def reads(alias: str, user: int) -> None:
    preferences = UserPreferences.objects.db_manager(alias)
    assert preferences.document(user) == BEFORE
    assert preferences.documents([user]) == {user: BEFORE}
    audience = NotificationPreferences.objects.db_manager(alias).audience("email", "marketing")
    assert list(audience) == [user]


@pytest.mark.parametrize("level", LEVELS, ids=words)
def test_every_write_is_refused_by_name_and_reads_work(
    place: Place, site: str, level: IsolationLevel
) -> None:
    user = stores.insert_user(place, json.dumps(BEFORE))
    before = stores.versions(user)
    for way in (*STORED, by_set_transaction):
        with way(site, level) as alias:
            reads(alias, user)
            refuses_every_write(place, alias, level, user)
            reads(alias, user)
    assert stores.versions(user) == before


SAID: dict[Way, str] = {
    by_options: "Django's OPTIONS of 'second' set an isolation level",
    by_startup: "Django's OPTIONS of 'second' set an isolation level",
    by_role: "_role in database prefs_scratch_",
    by_database: "(role any in database prefs_scratch_",
}


@pytest.mark.parametrize("level", LEVELS, ids=words)
@pytest.mark.parametrize("way", STORED, ids=lambda f: f.__name__)
def test_the_gate_to_dual_write_finds_each_setting(
    site: str, way: Way, level: IsolationLevel
) -> None:
    with way(site, level):
        found = finding(Gate.READ_COMMITTED, State.DUAL_WRITE)
        assert not found.met
        assert SAID[way] in found.found
    assert finding(Gate.READ_COMMITTED, State.DUAL_WRITE).met


def test_the_gate_leaves_other_databases_and_this_level_in_peace(site: str) -> None:
    serializable = {"isolation_level": IsolationLevel.SERIALIZABLE}
    with second_alias(NAME="elsewhere", OPTIONS=serializable):
        assert finding(Gate.READ_COMMITTED, State.DUAL_WRITE).met
    with second_alias(OPTIONS={"isolation_level": IsolationLevel.READ_COMMITTED}):
        assert finding(Gate.READ_COMMITTED, State.DUAL_WRITE).met


def test_a_site_whose_default_alias_is_at_another_level_is_refused(site: str) -> None:
    """As long as it is: what was expanded stays as it is."""
    connections[DEFAULT].close()
    query("SET default_transaction_isolation = 'serializable'")
    assert not finding(Gate.READ_COMMITTED, State.DUAL_WRITE).met
    query("RESET default_transaction_isolation")
    assert finding(Gate.READ_COMMITTED, State.DUAL_WRITE).met
