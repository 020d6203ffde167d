"""Everybody who can write a whole document, or create a user with one.

Ours write by route, whatever the code that calls them is like. Others know the column alone:
the previous release, and raw SQL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefs.models import UserPreferences
from project.accounts.models import User
from tests.prefs.machine.documents import parse, seen
from tests.prefs.machine.previous import PreviousUser
from tests.support.steps import rows

_REST = "'', '', '', '', false, false, true, now()"
_COLUMNS = (
    "username, password, first_name, last_name, email, is_superuser, is_staff, is_active,"
    " date_joined"
)
_INSERT = f"INSERT INTO accounts_user ({_COLUMNS}, preferences) VALUES (%s, {_REST}, %s::jsonb)"
_UPSERT = f"{_INSERT} ON CONFLICT (username) DO UPDATE SET preferences = excluded.preferences"

# Any, because the stubs know of columns alone.
USERS: Any = User.objects
PREVIOUS_USERS: Any = PreviousUser._default_manager
ALONE: Any = ["preferences"]


# --- ours ----------------------------------------------------------------------------


def replace(key: int, value: Any) -> None:
    UserPreferences.objects.replace(key, value)


def change(key: int, value: Any) -> None:
    UserPreferences.objects.change({key: [value]})


def assign_and_save(key: int, value: Any) -> None:
    user = USERS.get(pk=key)
    user.preferences = value
    user.save()


def save_update_fields(key: int, value: Any) -> None:
    user = USERS.get(pk=key)
    user.preferences = value
    user.save(update_fields=ALONE)


def update(key: int, value: Any) -> None:
    USERS.filter(pk=key).update(preferences=value)


def bulk_update(key: int, value: Any) -> None:
    user = USERS.get(pk=key)
    user.preferences = value
    USERS.bulk_update([user], ALONE)


def bulk_create_over(key: int, value: Any) -> None:
    name = USERS.values_list("username", flat=True).get(pk=key)
    USERS.bulk_create(
        [User(username=name, preferences=value)],
        update_conflicts=True,
        unique_fields=["username"],
        update_fields=ALONE,
    )


def create(name: str, value: Any) -> None:
    USERS.create(username=name, preferences=value)


def bulk_create(name: str, value: Any) -> None:
    USERS.bulk_create([User(username=name, preferences=value)])


def create_without(name: str, _: Any) -> None:
    USERS.create(username=name)


def bulk_create_without(name: str, _: Any) -> None:
    USERS.bulk_create([User(username=name)])


def sql_insert_without(name: str, _: Any) -> None:
    rows(f"INSERT INTO accounts_user ({_COLUMNS}) VALUES (%s, {_REST})", name)


# --- others --------------------------------------------------------------------------


def previous_save(key: int, value: Any) -> None:
    user = PREVIOUS_USERS.defer("preferences").get(pk=key)
    user.preferences = value
    user.save()


def previous_save_update_fields(key: int, value: Any) -> None:
    PreviousUser(pk=key, preferences=value).save(update_fields=ALONE)


def previous_update(key: int, value: Any) -> None:
    PREVIOUS_USERS.filter(pk=key).update(preferences=value)


def previous_bulk_update(key: int, value: Any) -> None:
    # None is JSON null or SQL NULL there, as the version of Django has it.
    if value is None:
        previous_update(key, value)
    else:
        PREVIOUS_USERS.bulk_update([PreviousUser(pk=key, preferences=value)], ALONE)


def sql_update(key: int, text: Any) -> None:
    rows("UPDATE accounts_user SET preferences = %s::jsonb WHERE id = %s", text, key)


def sql_conflict(key: int, text: Any) -> None:
    [(name,)] = rows("SELECT username FROM accounts_user WHERE id = %s", key)
    rows(_UPSERT, name, text)


def sql_merge(key: int, text: Any) -> None:
    rows(
        "MERGE INTO accounts_user u USING (SELECT %s::bigint, %s::jsonb) g(id, doc) ON u.id = g.id"
        " WHEN MATCHED THEN UPDATE SET preferences = g.doc",
        key,
        text,
    )


def previous_create(name: str, value: Any) -> None:
    PREVIOUS_USERS.create(username=name, preferences=value)


def sql_insert(name: str, text: Any) -> None:
    rows(_INSERT, name, text)


def sql_insert_on_conflict(name: str, text: Any) -> None:
    rows(_UPSERT, name, text)


def _named(*functions: Callable[..., object]) -> dict[str, Callable[..., object]]:
    return {function.__name__: function for function in functions}


OURS = _named(
    replace,
    change,
    assign_and_save,
    save_update_fields,
    update,
    bulk_update,
    bulk_create_over,
)
# They load the user first, and so write what is another document than the one they loaded.
BY_INSTANCES = _named(assign_and_save, save_update_fields, bulk_update)
PREVIOUS = _named(previous_save, previous_save_update_fields, previous_update, previous_bulk_update)
SQL = _named(sql_update, sql_conflict, sql_merge)

CREATORS = _named(create, bulk_create)
CREATORS_WITHOUT = _named(create_without, bulk_create_without, sql_insert_without)
CREATORS_BY_COLUMN = _named(previous_create, sql_insert, sql_insert_on_conflict)


def given_to(writer: str, text: str | None) -> Any:
    """What a writer is given for a document: JSON text, or a Python value. Raises ValueError."""
    return text if writer.startswith("sql_") else seen(parse(text))
