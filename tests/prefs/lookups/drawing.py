"""Lookups, conditions and queries by chance, the same for any model with `preferences`."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from django.db.models import (
    BooleanField,
    Case,
    Count,
    Exists,
    F,
    IntegerField,
    OuterRef,
    Q,
    Value,
    When,
)
from django.db.models.fields.json import KT

from prefs.engine.seeding import sample
from prefs.mapping import LEAVES, inner_nodes

NAME = "preferences"
_LEAF_PATHS = [leaf.path for leaf in LEAVES]
_NODE_PATHS = [node.path for node in inner_nodes() if node.path]
_OTHER_PATHS: list[tuple[str, ...]] = [
    *(("beta",), ("beta", "tour"), ("0",), ("beta", "0"), ("Theme",), ("$",), ("theme", "x")),
    *(("theme", "0"), ("notifications", "0"), ("notifications", "email", "0")),
    *(("notifications", "other"), ("notifications", "email", "digest", "theme")),
    *(("items_per_page", "a", "b"), ("notifications", "email", "beta"), ("theme", "theme")),
]
_VALUES: list[Any] = [
    *(None, True, False, 0, 1, 10, 10.0, 20, 20.0, 500, 501, -1, "", "dark", "light", "true", "10"),
    *([], {}, ["dark"], [1], {"theme": "dark"}, "22:00", "24:00", "09:30", "en", "daily", "x"),
    *("purple", 0.5, 1e300, [None], {"beta": 1}, {"digest": "daily"}, "d\u00e9", "a\x7f"),
]
_TEXT_LOOKUPS = ("icontains", "startswith", "istartswith", "endswith", "iexact", "regex", "iregex")
_KEYS = ["theme", "notifications", "email", "digest", "beta", "0", "start", "marketing", "items"]

Query = Callable[[Any], Any]


def _any_spelling(value: Any) -> Any:
    """A value, and 1 for 1.0: of equal values in a group the database shows any one."""
    return json.loads(json.dumps(value), parse_int=float)


class Draw:
    """Draws queries, each a function of a model, so that two models can be asked the same."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.shown = ""

    def path(self) -> tuple[str, ...]:
        kinds = ((_LEAF_PATHS, 70), (_NODE_PATHS, 12), (_OTHER_PATHS, 18))
        chosen = self.rng.choices([paths for paths, _ in kinds], [weight for _, weight in kinds])
        return self.rng.choice(chosen[0])

    def name(self) -> str:
        return "__".join((NAME, *self.path()))

    def value(self, path: tuple[str, ...]) -> Any:
        leaf = next((leaf for leaf in LEAVES if leaf.path == path), None)
        if leaf and self.rng.random() < 0.6:
            return sample(leaf, self.rng)
        return self.rng.choice(_VALUES)

    def document(self) -> Any:
        found: dict[str, Any] = {}
        for _ in range(self.rng.randint(0, 3)):
            path = self.path()
            inner = found
            for key in path[:-1]:
                below = inner.setdefault(key, {})
                inner = below if isinstance(below, dict) else {}
            inner[path[-1]] = self.value(path)
        return found

    def lookup(self) -> Q:
        kinds = ((self._equal, 30), (self._in, 10), (self._isnull, 8), (self._ordering, 8))
        others = ((self._text_of, 8), (self._field, 5), (self._key, 7), (self._keys_of, 4))
        weighted = (*kinds, *others, (self.whole, 20))
        path = self.path()
        chosen = self.rng.choices([kind for kind, _ in weighted], [w for _, w in weighted])[0]
        return chosen("__".join((NAME, *path)), path)

    def _equal(self, name: str, path: tuple[str, ...]) -> Q:
        return Q(**{name: self.value(path)})

    def _in(self, name: str, path: tuple[str, ...]) -> Q:
        return Q(**{f"{name}__in": [self.value(path) for _ in range(self.rng.randint(0, 3))]})

    def _isnull(self, name: str, _: tuple[str, ...]) -> Q:
        return Q(**{f"{name}__isnull": self.rng.random() < 0.5})

    def _ordering(self, name: str, path: tuple[str, ...]) -> Q:
        value = self.value(path)
        operator = self.rng.choice(("gt", "gte", "lt", "lte"))
        return Q(**{f"{name}__{operator}": "m" if value is None else value})

    def _text_of(self, name: str, _: tuple[str, ...]) -> Q:
        text = self.rng.choice(("da", "a", "e", "t", "1", "dark", "%", "_", ""))
        return Q(**{f"{name}__{self.rng.choice(_TEXT_LOOKUPS)}": text})

    def _field(self, name: str, _: tuple[str, ...]) -> Q:
        return Q(**{name: F(self.name())})

    def _key(self, name: str, _: tuple[str, ...]) -> Q:
        return Q(**{f"{self.rng.choice((name, NAME, NAME))}__has_key": self.rng.choice(_KEYS)})

    def _keys_of(self, name: str, _: tuple[str, ...]) -> Q:
        keys = self.rng.sample(_KEYS, self.rng.randint(0, 3))
        which = self.rng.choice(("has_keys", "has_any_keys"))
        return Q(**{f"{self.rng.choice((name, NAME))}__{which}": keys})

    def whole(self, name: str, _: tuple[str, ...]) -> Q:
        """A lookup of the whole document, or of an object in it."""
        place = self.rng.choice((NAME, NAME, name))
        operator = self.rng.choice(("contains", "contains", "contained_by", "exact", "isnull"))
        if operator == "isnull":
            return Q(**{f"{place}__isnull": self.rng.random() < 0.5})
        value = self.document() if self.rng.random() < 0.8 else self.rng.choice(_VALUES)
        if value is None and operator != "exact":
            value = {}
        return Q(**{f"{place}__{operator}": value})

    def condition(self, depth: int = 2) -> Q:
        if not depth or self.rng.random() < 0.35:
            if self.rng.random() < 0.12:
                return self.rng.choice((Q(is_staff=True), Q(last_name__in=["a", "b"]), Q(pk__gt=9)))
            return self.lookup()
        kind = self.rng.random()
        left = self.condition(depth - 1)
        if kind < 0.3:
            return ~left
        right = self.condition(depth - 1)
        if kind < 0.6:
            return left & right
        return left | right if kind < 0.94 else left ^ right

    def query(self) -> Query:
        """A query, with what it gives in an order that is the same for the same rows."""
        q, name, ends = self.condition(), self.name(), self._ENDS
        end = self.rng.choices([end for end, _ in ends], [weight for _, weight in ends])[0]
        self.shown = f"{end.__name__}: {q}, {name}"
        return end(self, q, name)

    def _keys(self, q: Q, _: str) -> Query:
        return lambda m: m.objects.filter(q).order_by("pk").values_list("pk", flat=True)

    def _excluded(self, q: Q, _: str) -> Query:
        also = self.condition(1)
        return lambda m: m.objects.exclude(q).filter(also).order_by("pk").values_list("pk")

    def _count(self, q: Q, _: str) -> Query:
        return lambda m: m.objects.filter(q).count()

    def _values(self, q: Q, name: str) -> Query:
        return lambda m: m.objects.filter(q).order_by("pk").values_list("pk", name)

    def _sliced(self, q: Q, name: str) -> Query:
        first, size = self.rng.randint(0, 3), self.rng.randint(1, 12)
        return lambda m: (
            m.objects.filter(q).order_by(name, "pk")[first : first + size].values_list("pk")
        )

    def _first(self, q: Q, _: str) -> Query:
        low, size, order = self.rng.randint(0, 4), self.rng.randint(1, 9), self.rng.choice("+-")
        path = self.rng.choice(_LEAF_PATHS)
        leaf = Q(**{"__".join((NAME, *path)): self.value(path)})
        order = "-pk" if order == "-" else "pk"
        return lambda m: m.objects.filter(leaf).order_by(order)[low : low + size].values_list("pk")

    def _ordered(self, q: Q, name: str) -> Query:
        return lambda m: m.objects.filter(q).order_by(F(name).desc(nulls_last=True), "-pk")

    def _exists(self, q: Q, _: str) -> Query:
        return lambda m: m.objects.filter(q).exists()

    def _grouped(self, q: Q, name: str) -> Query:
        def found(m: Any) -> Any:
            groups = m.objects.filter(q).values(name).annotate(n=Count("pk")).order_by(name)
            return [(_any_spelling(group[name]), group["n"]) for group in groups]

        return found

    def _aggregate(self, q: Q, name: str) -> Query:
        return lambda m: m.objects.aggregate(
            a=Count(name), b=Count(name, distinct=True), c=Count("pk", filter=q)
        )

    def _case(self, q: Q, name: str) -> Query:
        case = Case(When(q, then=Value(1)), default=Value(0), output_field=IntegerField())
        return lambda m: m.objects.annotate(c=case).order_by("pk").values_list("pk", "c", name)

    def _case_filter(self, q: Q, _: str) -> Query:
        case = Case(When(q, then=Value(True)), default=Value(False), output_field=BooleanField())
        return lambda m: m.objects.filter(case).order_by("pk").values_list("pk")

    def _text(self, q: Q, name: str) -> Query:
        text = self.rng.choice(("dark", "true", "daily", "20"))
        return lambda m: (
            m.objects.annotate(t=KT(name)).filter(q, t=text).order_by("pk").values_list("pk", "t")
        )

    def _inside(self, q: Q, name: str) -> Query:
        return lambda m: (
            m.objects.filter(pk__in=m.objects.filter(q).order_by(name, "pk")[:9].values("pk"))
            .order_by("pk")
            .values_list("pk")
        )

    def _outside(self, q: Q, _: str) -> Query:
        return lambda m: (
            m.objects.exclude(pk__in=m.objects.filter(q).values("pk")).order_by("pk").values("pk")
        )

    def _correlated(self, q: Q, name: str) -> Query:
        def found(m: Any) -> Any:
            inner = m.objects.filter(q, **{name: OuterRef(name)}, pk__lt=OuterRef("pk"))
            return m.objects.filter(Exists(inner)).order_by("pk").values_list("pk")

        return found

    def _union(self, q: Q, _: str) -> Query:
        other = self.condition(1)
        return lambda m: (
            m.objects.filter(q)
            .values_list("pk")
            .union(m.objects.filter(other).values_list("pk"))
            .order_by("pk")
        )

    def _updated(self, q: Q, _: str) -> Query:
        return lambda m: m.objects.filter(q).update(last_name=F("last_name"))

    def _combined(self, q: Q, _: str) -> Query:
        other = self.condition(1)
        return lambda m: (
            (m.objects.filter(q) | m.objects.filter(other)).order_by("pk").values_list("pk")
        )

    def _having(self, q: Q, name: str) -> Query:
        many = Q(n__gt=self.rng.randint(1, 60))
        return lambda m: (
            m.objects.values("is_staff")
            .annotate(n=Count("pk"))
            .filter(many | q)
            .order_by(name, "n", "is_staff")
        )

    _ENDS: tuple[tuple[Callable[[Draw, Q, str], Query], int], ...] = (
        *(
            (_keys, 12),
            (_excluded, 6),
            (_count, 2),
            (_values, 3),
            (_sliced, 4),
            (_first, 6),
            (_ordered, 1),
        ),
        *((_exists, 1), (_grouped, 2), (_aggregate, 1), (_case, 1), (_case_filter, 1), (_text, 2)),
        *(
            (_having, 1),
            (_inside, 1),
            (_outside, 1),
            (_correlated, 1),
            (_union, 1),
            (_updated, 1),
            (_combined, 1),
        ),
    )
