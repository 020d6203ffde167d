"""What querysets write and count: update, create, bulk, get_or_create, delete."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db import IntegrityError
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
def bulk_create_with_documents(w: World) -> Any:
    made = [w.user(username=name, preferences={"name": name}) for name in "abc"]
    return w.user.objects.bulk_create(made), [user._state.adding for user in made]


@operation
def bulk_create_without_documents(w: World) -> Any:
    return w.user.objects.bulk_create([w.user(username=name) for name in "abc"])


@operation
def bulk_create_in_batches_and_save(w: World) -> Any:
    made = w.user.objects.bulk_create(
        [w.user(username=name, preferences={"n": 1}) for name in "abcd"], batch_size=3
    )
    made[3].preferences["m"] = 2
    made[3].save()
    return made[3]


@operation
def bulk_create_with_keys(w: World) -> Any:
    return w.user.objects.bulk_create([w.user(pk=7, username="a", preferences={"x": 1})])


@operation
def bulk_create_with_null(w: World) -> Any:
    return w.user.objects.bulk_create([w.user(username="a", preferences=None)])


@operation
def bulk_create_ignoring_conflicts_without_documents(w: World) -> Any:
    key = w.add()
    made = [w.user(username=name) for name in (f"user{key}", "new")]
    w.user.objects.bulk_create(made, ignore_conflicts=True)


@operation
def bulk_create_updating_others_on_conflicts(w: World) -> Any:
    key = w.add()
    made = [w.user(username=name, first_name="Ada") for name in (f"user{key}", "new")]
    w.user.objects.bulk_create(
        made, update_conflicts=True, unique_fields=["username"], update_fields=["first_name"]
    )


@operation
def bulk_create_ignoring_conflicts_with_documents(w: World) -> Any:
    key = w.add()
    made = [w.user(username=name, preferences=DARK) for name in (f"user{key}", "new")]
    w.user.objects.bulk_create(made, ignore_conflicts=True)


@operation
def bulk_create_updating_the_document_on_conflicts(w: World) -> Any:
    key = w.add()
    made = [w.user(username=name, preferences=DARK) for name in (f"user{key}", "new")]
    w.user.objects.bulk_create(
        made, update_conflicts=True, unique_fields=["username"], update_fields=["preferences"]
    )


@raising(IntegrityError)
def bulk_create_with_a_conflict(w: World) -> Any:
    key = w.add()
    w.user.objects.bulk_create(
        [w.user(username=name, preferences=DARK) for name in ("new", f"user{key}")]
    )


@operation
def bulk_update_documents(w: World) -> Any:
    users = list(w.user.objects.filter(pk__in=w.add_many({"n": 1}, {"n": 2})).order_by("pk"))
    for user in users:
        user.preferences["m"] = user.pk
    changed = w.user.objects.bulk_update(users, ["preferences"])
    users[0].save()
    return changed


@operation
def bulk_update_documents_and_another(w: World) -> Any:
    users = list(w.user.objects.filter(pk__in=w.add_many({"n": 1}, {"n": 2})).order_by("pk"))
    for user in users:
        user.preferences, user.first_name = None, "Ada"
    return w.user.objects.bulk_update(users, ["first_name", "preferences"], batch_size=1)


@operation
def bulk_update_another(w: World) -> Any:
    user = w.load()
    user.first_name, user.preferences = "Ada", DARK
    return w.user.objects.bulk_update([user], ["first_name"])


@operation
def bulk_update_with_an_expression(w: World) -> Any:
    user = w.load({"a": {"b": 1}})
    user.preferences = F("preferences__a")
    return w.user.objects.bulk_update([user], ["preferences"])


@operation
def bulk_update_one_that_is_gone(w: World) -> Any:
    user, other = w.load(), w.load()
    w.user.objects.filter(pk=user.pk).delete()
    user.preferences = other.preferences = DARK
    return w.user.objects.bulk_update([user, other], ["preferences"])


@raising(ValueError)
def bulk_update_one_without_a_key(w: World) -> Any:
    w.user.objects.bulk_update([w.user(username="new")], ["preferences"])


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
