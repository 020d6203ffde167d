"""Expressions over the document: annotations, aggregates, subqueries."""

from __future__ import annotations

from typing import Any

from django.db import DataError
from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    IntegerField,
    Max,
    OuterRef,
    Q,
    Subquery,
    Sum,
    TextField,
    Value,
    When,
    Window,
)
from django.db.models.fields.json import KT, KeyTextTransform
from django.db.models.functions import Cast, Coalesce, Lower, Rank

from tests.prefs.differential.operations import operation, raising
from tests.prefs.differential.operations.queries import names
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


@operation
def annotations_of_keys(w: World) -> Any:
    w.add_many(*_VARIED)
    users = w.user.objects.order_by("pk").annotate(
        theme=F("preferences__theme"),
        text=KT("preferences__theme"),
        low=Lower(KeyTextTransform("theme", "preferences")),
    )
    return list(users.values_list("theme", "text", "low")), names(users.filter(theme="dark"))


@operation
def annotation_of_the_document(w: World) -> Any:
    w.add_many(BEFORE, {})
    users = w.user.objects.annotate(document=F("preferences")).order_by("pk")
    return [(user.document, user.preferences) for user in users], names(users.filter(document={}))


@operation
def aggregates(w: World) -> Any:
    w.add_many({"n": 1, "items_per_page": 10}, {"n": 5, "items_per_page": 30}, {}, None)
    number = Cast("preferences__items_per_page", IntegerField())
    return w.user.objects.aggregate(
        most=Max(number),
        sum=Sum(Cast("preferences__n", IntegerField())),
        fives=Count("pk", filter=Q(preferences__n=5)),
        documents=Count("preferences"),
        distinct=Count("preferences__n", distinct=True),
    )


@operation
def group_by_a_key(w: World) -> Any:
    w.add_many(*_VARIED)
    groups = w.user.objects.values("preferences__theme").annotate(n=Count("pk"))
    return sorted(map(repr, groups))


@operation
def group_by_the_user(w: World) -> Any:
    w.add_many(*_VARIED)
    users = w.user.objects.annotate(n=Count("notes")).order_by("pk")
    return [(user.n, user.preferences) for user in users], users.filter(n=0).count()


@operation
def group_with_having(w: World) -> Any:
    w.add_many(*_VARIED)
    groups = w.user.objects.values("preferences__theme").annotate(n=Count("pk")).filter(n__gt=1)
    return sorted(map(repr, groups))


@operation
def cases_over_the_document(w: World) -> Any:
    w.add_many(*_VARIED)
    kind = Case(
        When(preferences__theme="dark", then=Value("night")),
        When(preferences__has_key="theme", then=Value("other")),
        default=Value("none"),
    )
    return list(w.user.objects.annotate(kind=kind).order_by("pk").values_list("kind", flat=True))


@operation
def subqueries_and_exists(w: World) -> Any:
    keys = w.add_many(*_VARIED)
    w.note.objects.create(user_id=keys[1], text="dark")
    theme = w.user.objects.filter(pk=OuterRef("user")).values("preferences__theme")
    dark = w.user.objects.filter(pk=OuterRef("user"), preferences__theme="dark")
    return (
        list(w.note.objects.annotate(theme=Subquery(theme)).values_list("theme", flat=True)),
        w.note.objects.filter(Exists(dark)).count(),
        names(w.user.objects.filter(pk__in=w.user.objects.filter(preferences__n=2))),
        names(w.user.objects.alias(t=KT("preferences__theme")).filter(t=F("notes__text"))),
    )


@operation
def window_over_a_key(w: World) -> Any:
    w.add_many({"n": 3}, {"n": 1}, {"n": 2})
    rank = Window(Rank(), order_by=F("preferences__n").desc())
    return list(w.user.objects.annotate(rank=rank).order_by("pk").values_list("rank", flat=True))


@operation
def coalesce_and_cast(w: World) -> Any:
    w.add_many({"n": 3}, {}, None)
    return list(
        w.user.objects.order_by("pk").values_list(
            Coalesce(KT("preferences__n"), Value("none"), output_field=TextField()),
            Cast("preferences", TextField()),
        )
    )


@operation
def filters_across_relations(w: World) -> Any:
    keys = w.add_many(*_VARIED)
    for key in keys[:3]:
        w.note.objects.create(user_id=key, text=str(key))
    notes = w.note.objects.order_by("pk")
    return [
        list(notes.filter(user__preferences__theme="dark").values_list("text", flat=True)),
        list(notes.exclude(user__preferences__theme="dark").values_list("text", flat=True)),
        list(notes.order_by("-user__preferences__n").values_list("user__preferences", flat=True)),
        list(notes.values("user__preferences__theme").annotate(n=Count("pk")).order_by("n")),
        names(w.user.objects.filter(notes__user__preferences__n=1)),
    ]


@operation
def alias_extra_dates_explain(w: World) -> Any:
    w.add_many({"n": 1}, {"n": 2})
    users = w.user.objects
    return [
        names(users.alias(n=F("preferences__n")).filter(n=1)),
        [user.preferences for user in users.extra(select={"two": "1 + 1"}).order_by("pk")],
        list(users.dates("date_joined", "day")),
        bool(users.explain()),
    ]


@raising(DataError)
def cast_what_is_no_number(w: World) -> Any:
    w.add({"n": "x"})
    list(w.user.objects.values_list(Cast(KT("preferences__n"), IntegerField())))
