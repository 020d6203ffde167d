"""Queries by the document: lookups, order, values, sets of users."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import FieldError
from django.db.models import (
    F,
    Q,
)

from tests.prefs.differential.operations import operation, raising
from tests.prefs.differential.world import BEFORE, World

_VARIED: tuple[Any, ...] = (
    BEFORE,
    {"theme": "dark", "n": 1, "items_per_page": 25},
    {"theme": "dark", "n": 2, "notifications": {"email": {"digest": "weekly"}}},
    {"theme": None, "n": 2.0, "items_per_page": 500},
    {"theme": "purple", "list": ["a", "b"], "items_per_page": "many"},
    {},
    None,
    [],
)


def names(found: Any) -> list[str]:
    """Who was found, in order of their names."""
    return sorted(user.username for user in found)


@operation
def exact_and_in_and_isnull(w: World) -> Any:
    w.add_many(*_VARIED)
    users = w.user.objects
    return [
        names(users.filter(preferences=BEFORE)),
        names(users.filter(preferences={})),
        names(users.exclude(preferences={})),
        names(users.filter(preferences__in=[{}, []])),
        names(users.filter(preferences__isnull=True)),
        names(users.filter(preferences__theme="dark")),
        names(users.exclude(preferences__theme="dark")),
        names(users.filter(preferences__theme__in=["dark", "purple"])),
        names(users.filter(preferences__theme__isnull=True)),
        names(users.filter(preferences__theme__isnull=False)),
        names(users.filter(preferences__theme=None)),
        names(users.exclude(preferences__theme=None)),
    ]


@operation
def comparisons_and_text(w: World) -> Any:
    w.add_many(*_VARIED)
    users = w.user.objects
    return [
        names(users.filter(preferences__items_per_page__gt=25)),
        names(users.filter(preferences__items_per_page__gte=25)),
        names(users.filter(preferences__items_per_page__lt=500)),
        names(users.filter(preferences__n=2)),
        names(users.filter(preferences__theme__startswith="d")),
        names(users.filter(preferences__theme__icontains="ARK")),
        names(users.filter(preferences__theme__regex="^.{4}$")),
        names(users.filter(preferences__theme__iexact="DARK")),
    ]


@operation
def contains_and_keys(w: World) -> Any:
    w.add_many(*_VARIED)
    users = w.user.objects
    return [
        names(users.filter(preferences__contains={"theme": "dark"})),
        names(users.filter(preferences__contained_by={"theme": "dark", "n": 1})),
        names(users.filter(preferences__has_key="theme")),
        names(users.filter(preferences__has_any_keys=["list", "beta"])),
        names(users.filter(preferences__has_keys=["theme", "n"])),
        names(users.exclude(preferences__has_key="theme")),
        names(users.filter(preferences__list__contains="a")),
        names(users.filter(preferences__list__0="a")),
    ]


@operation
def nested_keys(w: World) -> Any:
    w.add_many(*_VARIED)
    users = w.user.objects
    digest = "preferences__notifications__email__digest"
    return [
        names(users.filter(**{digest: "daily"})),
        names(users.exclude(**{digest: "daily"})),
        names(users.filter(**{f"{digest}__in": ["daily", "weekly"]})),
        names(users.filter(preferences__notifications__has_key="email")),
        names(users.filter(preferences__notifications={"email": {"digest": "weekly"}})),
    ]


@operation
def combined_conditions(w: World) -> Any:
    w.add_many(*_VARIED)
    users, dark = w.user.objects, Q(preferences__theme="dark")
    return [
        names(users.filter(dark | Q(preferences__n=2))),
        names(users.filter(dark & ~Q(preferences__n=2))),
        names(users.filter(~dark | Q(username="x"))),
        names(users.filter(dark ^ Q(preferences__n=1))),
        names(users.filter(preferences__theme="dark").exclude(preferences__n=1)),
    ]


@operation
def counts_and_existence(w: World) -> Any:
    w.add_many(*_VARIED)
    users = w.user.objects.filter(preferences__theme="dark")
    first = users.order_by("pk").first()
    return users.count(), users.exists(), users.contains(first), len(users), bool(users)


@operation
def order_by_keys(w: World) -> Any:
    w.add_many(*_VARIED)
    users = w.user.objects
    return [
        [user.username for user in users.order_by("preferences__theme", "pk")],
        [user.username for user in users.order_by("-preferences__items_per_page", "pk")],
        [user.username for user in users.order_by(F("preferences__n").asc(nulls_first=True), "pk")],
        [user.username for user in users.order_by("preferences", "pk")],
        [user.username for user in users.order_by("preferences__theme", "pk")[1:4]],
    ]


@operation
def values_without_names(w: World) -> Any:
    w.add_many(BEFORE, None)
    users = w.user.objects.order_by("pk")
    return list(users.values()), list(users.values_list()), list(users.values_list(named=True))


@operation
def values_of_the_document_and_keys(w: World) -> Any:
    w.add_many(*_VARIED)
    users = w.user.objects.order_by("pk")
    return [
        list(users.values("preferences")),
        list(users.values_list("preferences", flat=True)),
        list(users.values("username", "preferences__theme")),
        list(users.values_list("preferences__notifications__email", flat=True)),
        list(users.values_list("preferences__items_per_page", "pk")),
    ]


@operation
def unions(w: World) -> Any:
    w.add_many({"n": 1}, {"n": 2}, {"n": 3})
    few, all_ = w.user.objects.filter(preferences__n__lt=3), w.user.objects.all()
    return [
        list(few.union(all_).order_by("id")),
        names(all_.intersection(few)),
        names(all_.difference(few)),
        len(few.union(few, all=True)),
        few.union(all_).count(),
        list(few.values("preferences").union(all_.values("preferences")).order_by("preferences")),
    ]


@operation
def distinct_users_and_documents(w: World) -> Any:
    w.add_many({"n": 1}, {"n": 1}, {"n": 2})
    users = w.user.objects
    return [
        len(users.distinct()),
        users.distinct().count(),
        sorted(map(repr, users.values_list("preferences", flat=True).distinct())),
        sorted(map(repr, users.values_list("preferences__n", flat=True).distinct())),
        len(users.distinct("preferences__n").order_by("preferences__n")),
    ]


@operation
def combined_querysets(w: World) -> Any:
    w.add_many({"n": 1}, {"n": 2}, {"n": 3})
    users = w.user.objects
    one, two = users.filter(preferences__n=1), users.filter(preferences__n=2)
    return names(one | two), names(one & two), names(users.exclude(pk__in=(one | two)))


@raising(FieldError)
def a_key_of_no_document(w: World) -> Any:
    w.user.objects.filter(preference__theme="dark").count()


@raising(TypeError)
def contains_what_is_no_json(w: World) -> Any:
    w.add()
    w.user.objects.filter(preferences__contains=object()).count()


@raising(ValueError)
def isnull_of_no_flag(w: World) -> Any:
    w.user.objects.filter(preferences__theme__isnull="dark").count()
