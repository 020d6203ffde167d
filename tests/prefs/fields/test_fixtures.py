"""dumpdata and loaddata carry preferences, in every format of Django's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core import serializers
from django.core.management import call_command

from prefs.codec import UndecodableDocument
from prefs.models import UserPreferences
from project.accounts.models import User
from tests.prefs.fields.people import BEFORE, ODD, add, exactly, stored
from tests.support import stores
from tests.support.stores import Place

pytestmark = pytest.mark.django_db
FILES = ["json", "jsonl", "xml"]


@pytest.mark.parametrize("kind", FILES)
def test_what_is_dumped_and_loaded_are_the_same_documents(
    place: Place, kind: str, tmp_path: Path
) -> None:
    users = [add(place, document) for document in (BEFORE, *ODD)]
    before = UserPreferences.objects.texts(user.pk for user in users)
    file = tmp_path / f"users.{kind}"
    call_command("dumpdata", "accounts.user", format=kind, output=str(file), verbosity=0)
    User.objects.all().delete()
    for _ in range(2):
        call_command("loaddata", str(file), verbosity=0)
        assert UserPreferences.objects.texts(before) == before
        assert [stored(place, user) for user in users] == [exactly(d) for d in (BEFORE, *ODD)]


def test_a_loaded_fixture_replaces_what_is_there(place: Place, tmp_path: Path) -> None:
    user = add(place)
    file = tmp_path / "users.json"
    call_command("dumpdata", "accounts.user", output=str(file), verbosity=0)
    UserPreferences.objects.merge(user.pk, {"theme": "dark", "added": 1})
    call_command("loaddata", str(file), verbosity=0)
    assert stored(place, user) == exactly(BEFORE)


def test_a_fixture_without_the_field_means_the_default(place: Place) -> None:
    user = add(place)
    text = serializers.serialize("json", [user], fields=["username", "password"])
    assert "preferences" not in text
    for loaded in serializers.deserialize("json", text):
        loaded.save()
    assert stored(place, user) == "{}"


@pytest.mark.parametrize("kind", ["json", "jsonl", "xml", "python"])
def test_every_serializer_carries_the_document(place: Place, kind: str) -> None:
    user = add(place)
    data: Any = serializers.serialize(kind, User.objects.all())
    loaded: Any
    [loaded] = serializers.deserialize(kind, data)
    assert exactly(loaded.object.preferences) == exactly(BEFORE)
    only: Any = serializers.serialize(kind, [user], fields=["preferences"])
    chosen: Any
    [chosen] = serializers.deserialize(kind, only)
    assert exactly(chosen.object.preferences) == exactly(BEFORE)
    assert chosen.object.username == ""


def test_a_document_that_cannot_be_dumped_is_an_error_and_is_not_left_out(place: Place) -> None:
    key = stores.insert_user(place, '{"n": ' + "9" * 6000 + "}")
    with pytest.raises(UndecodableDocument, match=f"user {key}"):
        serializers.serialize("json", User.objects.all())
