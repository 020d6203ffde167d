"""Every way in which the site wrote preferences; `catalogue` has their names.

The creators make a user with a document, the changers give one a document that takes the place
of the old; all of them name the column, by the field or in SQL.
"""

from __future__ import annotations

import json
import tempfile
from http import HTTPStatus
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from tests.previous_release.shop.forms import UserForm
from tests.previous_release.shop.models import User

_COLUMNS = (
    "username, password, first_name, last_name, email, is_superuser, is_staff, is_active,"
    " date_joined, preferences"
)
_INSERT = (
    f"INSERT INTO accounts_user ({_COLUMNS})"
    " VALUES (%s, '', '', '', '', false, false, true, now(), %s::jsonb)"
)


def _execute(statement: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def _name(user: int) -> str:
    return User.objects.get(pk=user).username


# --- creators ------------------------------------------------------------------------


def create(username: str, document: Any) -> None:
    User.objects.create(username=username, preferences=document)


def bulk_create(username: str, document: Any) -> None:
    User.objects.bulk_create([User(username=username, preferences=document)])


def create_by_form(username: str, document: Any) -> None:
    UserForm({"username": username, "preferences": json.dumps(document)}).save()


def insert_in_sql(username: str, document: Any) -> None:
    _execute(_INSERT, username, json.dumps(document))


def insert_on_conflict(username: str, document: Any) -> None:
    """An INSERT that makes the user, or gives them the document where they are there."""
    statement = f"{_INSERT} ON CONFLICT (username) DO UPDATE SET preferences = excluded.preferences"
    _execute(statement, username, json.dumps(document))


def copy(username: str, document: Any) -> None:
    row = (username, "", "", "", "", False, False, True, timezone.now(), json.dumps(document))
    statement = f"COPY accounts_user ({_COLUMNS}) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(statement) as rows:
        rows.write_row(row)


def load_fixture(username: str, document: Any) -> None:
    """A fixture with the user: their row as it is there, or a new one."""
    known = User.objects.filter(username=username).values_list("pk", flat=True).first()
    fields = {"username": username, "password": "", "preferences": document}
    row = {"model": "accounts.user", "pk": known, "fields": fields}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "users.json"
        path.write_text(json.dumps([row]))
        call_command("loaddata", str(path), verbosity=0)


# --- changers ------------------------------------------------------------------------


def save(user: int, document: Any) -> None:
    found = User.objects.get(pk=user)
    found.preferences = document
    found.save()


def save_one_field(user: int, document: Any) -> None:
    User(pk=user, preferences=document).save(update_fields=["preferences"])


def update(user: int, document: Any) -> None:
    User.objects.filter(pk=user).update(preferences=document)


def bulk_update(user: int, document: Any) -> None:
    User.objects.bulk_update([User(pk=user, preferences=document)], ["preferences"])


def update_or_create(user: int, document: Any) -> None:
    User.objects.update_or_create(pk=user, defaults={"preferences": document})


def bulk_create_over(user: int, document: Any) -> None:
    User.objects.bulk_create(
        [User(username=_name(user), preferences=document)],
        update_conflicts=True,
        unique_fields=["username"],
        update_fields=["preferences"],
    )


def change_by_form(user: int, document: Any) -> None:
    given = {"username": _name(user), "preferences": json.dumps(document)}
    UserForm(given, instance=User.objects.get(pk=user)).save()


def change_in_admin(user: int, document: Any) -> None:
    users = get_user_model()._default_manager
    clerk, _ = users.get_or_create(username="clerk", is_staff=True, is_superuser=True)
    browser = Client()
    browser.force_login(clerk)
    given = {
        "username": _name(user),
        "preferences": json.dumps(document),
        "date_joined_0": "2020-01-01",
        "date_joined_1": "00:00:00",
    }
    answer = browser.post(f"/admin/accounts/user/{user}/change/", given)
    if answer.status_code != HTTPStatus.FOUND:
        raise ValueError(answer.content.decode())


def update_in_sql(user: int, document: Any) -> None:
    statement = "UPDATE accounts_user SET preferences = %s::jsonb WHERE id = %s"
    _execute(statement, json.dumps(document), user)


def conflict_in_sql(user: int, document: Any) -> None:
    insert_on_conflict(_name(user), document)


def load_fixture_over(user: int, document: Any) -> None:
    load_fixture(_name(user), document)
