"""What querysets update, create and delete."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Case, F, JSONField, OuterRef, Subquery, Value, When
from django.db.models.functions import Concat, JSONObject

from tests.prefs.differential.operations import operation, raising
from tests.prefs.differential.world import BEFORE, World

DARK = {**BEFORE, "theme": "dark"}


@operation
def update_the_document(w: World) -> Any:
    w.add_many({"n": 1}, {"n": 2})
    return w.user.objects.filter(preferences__n=1).update(preferences=DARK)


@operation
def update_the_document_and_another(w: World) -> Any:
    w.add_many({"n": 1}, {"n": 2})
    return w.user.objects.update(preferences={}, first_name="Ada")


@operation
def update_another_by_the_document(w: World) -> Any:
    w.add_many({"n": 1}, {"n": 2})
    return w.user.objects.filter(preferences__n__gt=1).update(first_name="two")


@operation
def update_to_sql_null_and_json_null(w: World) -> Any:
    first, second = w.add_many({"n": 1}, {"n": 2})
    w.user.objects.filter(pk=first).update(preferences=None)
    return w.user.objects.filter(pk=second).update(preferences=Value(None, JSONField()))


@operation
def update_from_an_expression(w: World) -> Any:
    w.add({"a": {"b": 1}})
    return w.user.objects.update(preferences=F("preferences__a"))


@operation
def update_another_from_the_document(w: World) -> Any:
    w.add({"theme": "dark"})
    return w.user.objects.update(first_name=F("preferences__theme"))


@operation
def update_from_json_object(w: World) -> Any:
    w.add({"theme": "dark"})
    return w.user.objects.update(preferences=JSONObject(t=F("preferences__theme"), u="username"))


@operation
def update_by_cases(w: World) -> Any:
    first, _ = w.add_many({"n": 1}, {"n": 2})
    chosen = When(pk=first, then=Value({"chosen": True}, JSONField()))
    return w.user.objects.update(preferences=Case(chosen, default=F("preferences")))


@operation
def update_from_a_subquery(w: World) -> Any:
    w.add_many({"n": 1}, {"n": 2})
    highest = w.user.objects.order_by("-pk").values("preferences")[:1]
    return w.user.objects.update(preferences=Subquery(highest))


@operation
def update_from_another_model(w: World) -> Any:
    key = w.add()
    w.note.objects.create(user_id=key, data={"from": "note"})
    notes = w.note.objects.filter(user=OuterRef("pk")).values("data")[:1]
    return w.user.objects.update(preferences=Subquery(notes))


@operation
def update_a_related_model_from_the_document(w: World) -> Any:
    w.note.objects.create(user_id=w.add())
    documents = w.user.objects.filter(pk=OuterRef("user")).values("preferences")
    return w.note.objects.update(data=Subquery(documents))


@operation
def update_nobody(w: World) -> Any:
    return w.user.objects.none().update(preferences={}), w.user.objects.update(preferences={})


@raising(FieldDoesNotExist)
def update_no_field(w: World) -> Any:
    w.user.objects.update(preference={})


@raising(FieldDoesNotExist)
def update_a_key_of_the_document(w: World) -> Any:
    w.user.objects.update(preferences__theme="dark")


@raising(TypeError)
def update_a_slice(w: World) -> Any:
    w.add_many({}, {})
    w.user.objects.order_by("pk")[:1].update(preferences={})


@operation
def get_or_create_that_creates(w: World) -> Any:
    return w.user.objects.get_or_create(username="ada", defaults={"preferences": DARK})


@operation
def get_or_create_that_gets(w: World) -> Any:
    user = w.load()
    return w.user.objects.get_or_create(username=user.username, defaults={"preferences": DARK})


@operation
def get_or_create_by_a_document(w: World) -> Any:
    w.add({"x": 1})
    found = w.user.objects.get_or_create(preferences={"x": 1}, defaults={"username": "no"})
    return found, w.user.objects.get_or_create(preferences={"x": 2}, username="ada")


@operation
def update_or_create_that_updates(w: World) -> Any:
    user = w.load()
    return w.user.objects.update_or_create(
        username=user.username, defaults={"preferences": DARK, "first_name": "Ada"}
    )


@operation
def update_or_create_that_updates_another(w: World) -> Any:
    user = w.load()
    return w.user.objects.update_or_create(pk=user.pk, defaults={"first_name": "Ada"})


@operation
def update_or_create_that_creates(w: World) -> Any:
    return w.user.objects.update_or_create(
        username="ada", defaults={"first_name": "A"}, create_defaults={"preferences": DARK}
    )


@operation
def create_user_and_superuser(w: World) -> Any:
    made = w.user.objects.create_user("ada", preferences={"a": 1})
    w.user.objects.filter(pk=made.pk).update(password="")
    return w.user.objects.get(pk=made.pk)


@operation
def delete_by_the_document(w: World) -> Any:
    w.add_many({"n": 1}, {"n": 2})
    return w.user.objects.filter(preferences__n=1).delete()


@operation
def update_an_expression_on_an_instance(w: World) -> Any:
    user = w.load({"theme": "dark", "a": {"b": 1}})
    user.first_name = Concat("last_name", Value("x"))
    user.save()
    user.refresh_from_db()
    return user


@operation
def save_an_expression_as_the_document(w: World) -> Any:
    user = w.load({"a": {"b": 1}})
    user.preferences = F("preferences__a")
    user.save()
    user.refresh_from_db()
    return user


@operation
def create_with_a_json_null(w: World) -> Any:
    user = w.user.objects.create(username="a", preferences=Value(None, JSONField()))
    return w.user.objects.get(pk=user.pk)
