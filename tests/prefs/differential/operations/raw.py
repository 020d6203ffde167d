"""Users by raw SQL, and by hand; documents that are odd or cannot be decoded."""

from __future__ import annotations

from typing import Any

from tests.prefs.differential.operations import operation, raising
from tests.prefs.differential.world import BEFORE, TOO_LONG, World

DARK = {**BEFORE, "theme": "dark"}


@operation
def raw_of_every_column(w: World) -> Any:
    w.add_many({"n": 1}, None, [])
    columns = ", ".join(f.column for f in w.user._meta.concrete_fields if f.name != "preferences")
    found = w.user.objects.raw(f"SELECT {columns} FROM {w.table} ORDER BY id")
    return [(user.username, user.preferences) for user in found]


@operation
def raw_of_some_columns(w: World) -> Any:
    w.add_many({"n": 1}, {"n": 2})
    found = w.user.objects.raw(f"SELECT id, username FROM {w.table} ORDER BY id")
    return [(user.get_deferred_fields() > {"email"}, user.preferences) for user in found]


@operation
def raw_of_a_star(w: World) -> Any:
    w.add_many({"n": 1}, {"n": 2})
    found = w.user.objects.raw(f"SELECT * FROM {w.table} ORDER BY id")
    return [user.preferences for user in found]


@operation
def raw_of_a_star_changed_and_saved(w: World) -> Any:
    w.add()
    [user] = w.user.objects.raw(f"SELECT * FROM {w.table}")
    user.preferences["theme"] = "dark"
    user.save()
    return user.preferences


@operation
def raw_with_an_annotation(w: World) -> Any:
    w.add()
    [user] = w.user.objects.raw(f"SELECT id, length(username) AS long FROM {w.table}")
    return user.long, user.preferences


@operation
def null_and_odd_documents(w: World) -> Any:
    w.add_many(None, [], "dark", True, 0, 1.5, {}, [1, 2.0, None], {"": {"%s": "\N{SNOWMAN}"}})
    w.add(text="null")
    return list(w.user.objects.order_by("pk"))


@operation
def save_odd_documents_back(w: World) -> Any:
    w.add_many(None, [], "dark", True, 0, {}, [1, 2.0, None], {"theme": 7, "notifications": []})
    w.add(text="null")
    for user in w.user.objects.order_by("pk"):
        user.first_name = "Ada"
        user.save()


@operation
def numbers_that_python_keeps(w: World) -> Any:
    w.add(text='{"n": 9007199254740993, "x": 1e-7, "y": 1.50}')
    return w.user.objects.get()


@raising(ValueError)
def a_number_that_python_refuses(w: World) -> Any:
    return w.user.objects.get(pk=w.add(text=TOO_LONG)).preferences


@operation
def defer_a_number_that_python_refuses(w: World) -> Any:
    user = w.user.objects.defer("preferences").get(pk=w.add(text=TOO_LONG))
    user.first_name = "Ada"
    user.save()
    return user


@operation
def from_db_by_hand(w: World) -> Any:
    key = w.add()
    user = w.user.from_db("default", ["id", "username"], [key, "ada"])
    return user.get_deferred_fields() > {"preferences"}, user.preferences
