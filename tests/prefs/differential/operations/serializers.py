"""Serializers and fixtures: users as text, and back."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.core import serializers as django
from django.core.management import call_command
from django.core.serializers.base import DeserializationError

from tests.prefs.differential.operations import operation, raising
from tests.prefs.differential.world import BEFORE, World

DARK = {**BEFORE, "theme": "dark"}
_FORMATS = ("json", "xml", "python", "jsonl")


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
