"""Serializers, fixtures, REST framework: users as text, and back."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.core import serializers as django
from django.core.management import call_command
from django.core.serializers.base import DeserializationError
from rest_framework import serializers, viewsets
from rest_framework.test import APIRequestFactory

from tests.prefs.differential.operations import operation, raising
from tests.prefs.differential.world import BEFORE, World

DARK = {**BEFORE, "theme": "dark"}
_FORMATS = ("json", "xml", "python", "jsonl")


def serializer_of(w: World, *fields: str) -> Any:
    """A ModelSerializer with these fields."""
    meta = type("Meta", (), {"model": w.user, "fields": fields or ("username", "preferences")})
    return type("Users", (serializers.ModelSerializer,), {"Meta": meta})


@operation
def serialize_in_every_format(w: World) -> Any:
    w.add_many(BEFORE, None, [1, 1.0], {})
    users = w.user.objects.order_by("pk")
    return [django.serialize(name, users) for name in _FORMATS]


@operation
def serialize_chosen_fields(w: World) -> Any:
    w.add_many(BEFORE)
    return django.serialize("json", w.user.objects.all(), fields=["preferences"])


@operation
def serialize_deferred_users(w: World) -> Any:
    w.add_many(BEFORE)
    return django.serialize("json", w.user.objects.defer("preferences"), fields=["preferences"])


@operation
def deserialize_in_every_format(w: World) -> Any:
    key = w.add()
    for name in _FORMATS:
        text = django.serialize(name, w.user.objects.all())
        w.user.objects.update(preferences={"format": name})
        for found in django.deserialize(name, text):
            found.save()
        assert w.user.objects.get(pk=key).preferences == BEFORE


@operation
def deserialize_a_new_user(w: World) -> Any:
    text = django.serialize("json", [w.user(pk=7, username="new", preferences=DARK)])
    for found in django.deserialize("json", text):
        found.save()
    return w.user.objects.get(pk=7)


@operation
def deserialize_without_the_key(w: World) -> Any:
    key = w.add()
    [found] = json.loads(django.serialize("json", w.user.objects.all()))
    del found["fields"]["preferences"]
    for each in django.deserialize("json", json.dumps([found])):
        each.save()
    return w.user.objects.get(pk=key)


@operation
def deserialize_with_natural_keys(w: World) -> Any:
    w.add()
    users = w.user.objects.all()
    text = django.serialize("json", users, use_natural_primary_keys=True)
    users.update(preferences={})
    for found in django.deserialize("json", text):
        found.save()
    return text


@operation
def deserialize_notes_by_natural_keys(w: World) -> Any:
    w.note.objects.create(user_id=w.add())
    text = django.serialize("json", w.note.objects.all(), use_natural_foreign_keys=True)
    w.note.objects.all().delete()
    for found in django.deserialize("json", text):
        found.save()
    return text, w.note.objects.select_related("user").get().user


@raising(DeserializationError)
def deserialize_an_unknown_field(w: World) -> Any:
    w.add()
    [found] = json.loads(django.serialize("json", w.user.objects.all()))
    found["fields"]["preference"] = {}
    list(django.deserialize("json", json.dumps([found])))


@operation
def dump_and_load(w: World) -> Any:
    w.add_many(BEFORE, None, {"z": [1]})
    w.note.objects.create(user=w.user.objects.first(), data={"x": 1})
    out = StringIO()
    labels = [w.user._meta.label, w.note._meta.label]
    call_command("dumpdata", *labels, stdout=out)
    w.user.objects.update(preferences={"lost": 1})
    w.user.objects.last().delete()
    with TemporaryDirectory() as folder:
        fixture = Path(folder) / "users.json"
        fixture.write_text(out.getvalue())
        call_command("loaddata", str(fixture), verbosity=0)
    return out.getvalue()


@raising(Exception)
def load_a_fixture_that_is_refused(w: World) -> Any:
    w.add()
    text = django.serialize("json", w.user.objects.all())
    text = text.replace('"light"', '"\\u0000"').replace('"user1001"', '"other"')
    with TemporaryDirectory() as folder:
        fixture = Path(folder) / "users.json"
        fixture.write_text(text)
        call_command("loaddata", str(fixture), verbosity=0)


# --- REST framework -------------------------------------------------------------------------


@operation
def rest_shows_a_user(w: World) -> Any:
    return serializer_of(w)(w.load()).data


@operation
def rest_shows_all_fields(w: World) -> Any:
    made = serializer_of(w, "id", "first_name", "preferences")
    w.add_many(BEFORE, {})
    users = w.user.objects.order_by("pk")
    return made(users, many=True).data, {n: type(f) for n, f in made().fields.items()}


@operation
def rest_describes_the_field(w: World) -> Any:
    field = serializer_of(w)().fields["preferences"]
    return type(field), field.required, field.allow_null, field.read_only, repr(field)


@operation
def rest_creates_a_user(w: World) -> Any:
    found = serializer_of(w)(data={"username": "ada", "preferences": {"x": 1}})
    return found.is_valid(), found.save(), found.data


@operation
def rest_creates_a_user_without_a_document(w: World) -> Any:
    found = serializer_of(w)(data={"username": "ada"})
    return found.is_valid(), found.save(), found.data


@operation
def rest_updates_a_part(w: World) -> Any:
    found = serializer_of(w)(w.load(), data={"preferences": {"x": 1}}, partial=True)
    return found.is_valid(), found.save(), found.data


@operation
def rest_updates_another_field(w: World) -> Any:
    found = serializer_of(w)(w.load(), data={"username": "ada"})
    return found.is_valid(), found.save(), found.data


@operation
def rest_refuses_what_is_no_json(w: World) -> Any:
    found = serializer_of(w)(w.load(), data={"preferences": {1, 2}}, partial=True)
    return found.is_valid(), list(found.errors)


@operation
def rest_nests_users(w: World) -> Any:
    w.note.objects.create(user_id=w.add())
    meta = type("Meta", (), {"model": w.note, "fields": ["text", "user"], "depth": 1})
    made = type("Notes", (serializers.ModelSerializer,), {"Meta": meta})
    found = made(w.note.objects.select_related("user").get()).data
    return found["user"]["preferences"], sorted(found["user"])


@operation
def rest_serves_and_patches(w: World) -> Any:
    attributes = {
        "queryset": w.user.objects.order_by("pk"),
        "serializer_class": serializer_of(w),
        "authentication_classes": [],
        "permission_classes": [],
    }
    view: Any = type("Users", (viewsets.ModelViewSet,), attributes)
    key, requests = w.add(), APIRequestFactory()
    listed = view.as_view({"get": "list"})(requests.get("/"))
    patch = requests.patch("/", {"preferences": {"y": [1.5]}}, format="json")
    patched = view.as_view({"patch": "partial_update"})(patch, pk=key)
    return listed.data, patched.status_code, patched.data
