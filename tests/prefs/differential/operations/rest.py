"""Users by REST framework."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers, viewsets
from rest_framework.test import APIRequestFactory

from tests.prefs.differential.operations import operation
from tests.prefs.differential.world import BEFORE, World

DARK = {**BEFORE, "theme": "dark"}
_FORMATS = ("json", "xml", "python", "jsonl")


def serializer_of(w: World, *fields: str) -> Any:
    """A ModelSerializer with these fields."""
    meta = type("Meta", (), {"model": w.user, "fields": fields or ("username", "preferences")})
    return type("Users", (serializers.ModelSerializer,), {"Meta": meta})


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
