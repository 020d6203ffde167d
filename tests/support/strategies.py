"""Documents as JSON text: what PostgreSQL stores as jsonb, valid, nearly valid and hostile.

Text and not Python objects, because only text has `1e2`, `1.00`, `-0` or a key given twice.
Hypothesis draws a short byte string for each document, and every choice the document is
made of is read off those bytes. That is one draw a document, so that tens of thousands are
cheap. A zero byte, like the end of the bytes, always stands for the plainest choice: no bytes
at all are `{}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from prefs.domains import Choice, ClockTime, Domain, Flag, Shape, WholeNumber
from prefs.mapping import LEAVES, TREE, Leaf, Node, inner_nodes

T = TypeVar("T")
Text = str | None
"""The JSON text of a document; None for SQL NULL."""

BYTES = 72
DOCUMENTS = 80

# What a careless test takes for a leaf of that kind.
_ALMOST: dict[type[Domain], tuple[str, ...]] = {
    Flag: ('"true"', '"false"', "1", "0", '"t"', "null", '"on"', "[true]"),
    Choice: ('"Dark"', '"ISO"', '"dark "', '"Daily"', '""', "null", '["dark"]', '"LIGHT"'),
    Shape: (
        *('"en\\n"', '"e"', '"en-"', '"-en"', '"../etc"', '"\u00e9n"', '"en_GB "', "null"),
        *('"' + "en-" * 11 + tail + '"' for tail in ("en", "eng")),
        *('"' + "a" * length + '"' for length in (8, 9, 64, 65)),
    ),
    WholeNumber: ('"10"', "10.0", "0", "501", "-1", "-0", "1.00", "9999999999", "null", "0.5"),
    ClockTime: (
        *('"24:00"', '"22:00+02"', '"22:00:00"', '"9:30"', '"23:60"', '" 09:00"', "null"),
        *('"\u0662\u0662:00"', '"10:00 PM"', '"22:00\\n"', "2200"),
    ),
}
_STRINGS = (
    *('""', '"x"', '"true"', '"10"', '"dark"', '"purple"', '"null"', '"24:00"', '"22:00"', '"en"'),
    *('"Europe/Lisbon"', '"Factory"', '"FOO5"', '"%s"', '"\'"', '"\u2028\ufeff"', '"da\\u0072k"'),
    *(
        '"\u00e9"',
        '"\\u00e9"',
        '"\\ud83d\\ude00"',
        '"\\"\\\\\\/\\b\\f\\n\\r\\t"',
        '"' + "x" * 3000 + '"',
    ),
)
_NUMBERS = (
    *("0", "1", "2", "10", "500", "501", "-1", "-0", "1.0", "1.00", "0.10", "10.0", "-0.0"),
    *("1e2", "1E+2", "1.5e3", "50e-1", "1e-2", "0e5", "0.0e-3", "500.000", "2147483648"),
    *("9007199254740993", "-9223372036854775809", "9" * 40, "0." + "1234567890" * 40),
    *("7" * 700, "9" * 4500, "-" + "1234567890" * 30 + "." + "10" * 100, "5e-324", "1.5e308"),
    *("1e400", "1e131071", "-1e131071", "1e-16383", "1.000e-16380"),
)
_KEYS = (
    *("beta", "", "a.b", "\u00e9", "\\u00e9", "\\ud83d\\ude00", "0", "Theme", "theme ", "$"),
    *dict.fromkeys(name for leaf in LEAVES for name in leaf.path),
)
_DEPTHS = (2, 40, 40, 400, 400, 400, 4000)


@dataclass(kw_only=True)
class Choices:
    """Choices read off a byte string; past its end every one of them is the first.

    `respell` writes each number that has no exponent with one more zero behind the point,
    and otherwise changes nothing: the same value, another jsonb. `deepest` bounds nesting.
    """

    data: bytes
    respell: bool = False
    deepest: int = max(_DEPTHS)
    _at: int = 0

    def below(self, limit: int) -> int:
        self._at += 1
        return self.data[self._at - 1] % limit if self._at <= len(self.data) else 0

    def pick(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def chance(self, percent: int) -> bool:
        return self.below(256) * 100 > (100 - percent) * 256

    def subset(self, options: Sequence[T]) -> list[T]:
        """Some of the options, by one bit for each."""
        return [
            option
            for start in range(0, len(options), 8)
            for bits in [self.below(256)]
            for bit, option in enumerate(options[start : start + 8])
            if bits >> bit & 1
        ]


def compose(data: bytes, *, respell: bool = False, deepest: int = max(_DEPTHS)) -> Text:
    """The document that `data` stands for."""
    c = Choices(data=data, respell=respell, deepest=deepest)
    kind = c.below(16)
    if kind < 6:
        return _object(c, TREE, set(c.subset(LEAVES)), wrong=0)
    if kind < 12:
        return _object(c, TREE, set(c.subset(LEAVES)), wrong=30)
    if kind < 14:
        return _object(c, TREE, set(c.subset(LEAVES)), wrong=70)
    if kind < 15:
        return _value(c, 3)
    return c.pick((None, "null", "[]", "{}", '"theme"', "true", "0", '["theme"]', "[null]"))


def _object(c: Choices, node: Node, chosen: set[Leaf], *, wrong: int) -> str:
    """The object at a node with the chosen leaves; `wrong` percent of what it holds is odd."""
    members = [(leaf.name, _leaf(c, leaf, wrong)) for leaf in node.leaves if leaf in chosen]
    for child in node.nodes:
        if any(chosen & set(deep.leaves) for deep in inner_nodes(child)):
            odd = wrong and c.chance(wrong // 3)
            below = _value(c, 1) if odd else _object(c, child, chosen, wrong=wrong)
            members.append((child.name, below))
        elif wrong and c.chance(15):
            members.append((child.name, "{}"))
    if wrong and c.chance(wrong):
        members.append((c.pick(_KEYS), _value(c, 2)))
        members.insert(c.below(len(members)), (c.pick(_KEYS), _value(c, 1)))
    return _joined(c, members)


def _joined(c: Choices, members: list[tuple[str, str]]) -> str:
    space = " \n\t" if len(members) > 1 and c.chance(10) else ""
    return "{" + ",".join(f'{space}"{key}"{space}:{space}{text}' for key, text in members) + "}"


def _leaf(c: Choices, leaf: Leaf, wrong: int) -> str:
    if wrong and c.chance(wrong):
        return _value(c, 1) if c.chance(50) else c.pick(_ALMOST[type(leaf.domain)])
    match leaf.domain:
        case Flag():
            return c.pick(("true", "false"))
        case Choice(values=values):
            return f'"{c.pick(values)}"'
        case Shape(examples=examples):
            return f'"{c.pick(examples)}"'
        case WholeNumber(minimum=minimum, maximum=maximum):
            return c.pick((str(minimum), str(maximum), "10", "1e2", "20", "2.5e1", "99"))
        case ClockTime():
            return f'"{c.below(24):02}:{c.below(60):02}"'


def _value(c: Choices, depth: int) -> str:
    """Any JSON value, at most `depth` further levels unless it is a deep one."""
    kind = c.below(12 if depth else 6)
    if kind < 4:
        return c.pick(("null", "true", "false", "[]", "{}"))
    if kind < 6:
        return f"{c.pick(_STRINGS)}"
    if kind < 8:
        return _number(c)
    if kind < 9:
        return "[" + ",".join(_value(c, depth - 1) for _ in range(c.below(4))) + "]"
    if kind < 11 or not c.chance(6):
        return _joined(c, [(c.pick(_KEYS), _value(c, depth - 1)) for _ in range(c.below(4))])
    levels = min(c.pick(_DEPTHS), c.deepest)
    opening, closing = c.pick((("[", "]"), ('{"theme":', "}"), ('[{"notifications":', "}]")))
    return opening * levels + _number(c) + closing * levels


def _number(c: Choices) -> str:
    text = c.pick(_NUMBERS)
    if c.respell and "e" not in text.lower():
        text += "0" if "." in text else ".0"
    return text


class Batch:
    """Many users' documents, and for each the one that takes its place later on."""

    def __init__(self, before: Sequence[Text], after: Sequence[Text]) -> None:
        self.before = tuple(before)
        self.after = tuple(after)

    @classmethod
    def of(cls, drawn: Sequence[bytes], deepest: int = max(_DEPTHS)) -> Batch:
        """Every other user gets the same document with its numbers respelled, or another's."""
        before = [compose(data, deepest=deepest) for data in drawn]
        respelled = [compose(data, respell=True, deepest=deepest) for data in drawn]
        return cls(before, [before[n - 1] if n % 2 else respelled[n] for n in range(len(drawn))])

    def __repr__(self) -> str:
        return f"<Batch of {len(self.before)} documents>"


def batches(size: int = DOCUMENTS, *, deepest: int = max(_DEPTHS)) -> st.SearchStrategy[Batch]:
    """Batches of exactly `size` documents, for checks that take many at once."""
    data = st.binary(min_size=BYTES, max_size=BYTES)
    # Unique, because Hypothesis otherwise spends six batches of seven on copying elements of
    # an earlier one over one another.
    drawn = st.lists(data, min_size=size, max_size=size, unique=True)
    return drawn.map(lambda chosen: Batch.of(chosen, deepest))


def in_bulk(examples: int) -> settings:
    """Settings of a test over so many batches.

    Without Hypothesis's shrinking, which takes minutes for a batch: such a test names the
    document that fails, and makes it small itself.
    """
    return settings(
        max_examples=examples,
        deadline=None,
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
