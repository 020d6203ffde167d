"""The settings page from top to bottom: groups as the document has them, a row for each leaf."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.forms import BoundField
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from prefs.answers import Answer, removed, was, words
from prefs.mapping import TREE, Leaf, Node
from prefs.pages.forms import PreferencesForm
from prefs.pages.stored import Part


@dataclass(frozen=True, kw_only=True)
class Row:
    """One leaf on the page; `kept` is what is stored and does not fit it."""

    bound: BoundField
    field: Answer
    stored_answer: str
    kept: Part | None
    was: str
    removed: str
    is_removed: bool

    @property
    def options(self) -> SafeString:
        """What a browser offers to complete a line."""
        return _options(self.field.suggestions)

    @property
    def first_id(self) -> str:
        """The id of what a link to this row leads to."""
        return f"{self.bound.auto_id}_0" if self.bound.use_fieldset else self.bound.auto_id

    @property
    def described_by(self) -> str:
        """The ids of what is said about the answer."""
        parts = [("help", self.bound.help_text), ("kept", self.kept), ("error", self.bound.errors)]
        return " ".join(f"{self.bound.auto_id}-{name}" for name, there in parts if there)


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group of leaves, and its own groups, as the document has them."""

    label: str
    dotted: str
    rows: list[Row]
    groups: list[Group]
    instead: Part | None
    replace: BoundField | None


def groups_of(form: PreferencesForm) -> list[Group]:
    """The leaves at the top of the document, then its groups."""
    top = _group(form, TREE, _("General"), [])
    return [top, *(_nested(form, node) for node in TREE.nodes)]


def problems(form: PreferencesForm, groups: Iterable[Group]) -> Iterator[tuple[str, str, Any]]:
    """For the summary: (id to go to, where it is, what is wrong), in the order of the page."""
    for text in form.non_field_errors():
        yield "", "", text
    for group in groups:
        yield from _problems(group, ())


def title(leaf: Leaf) -> str:
    """A leaf with the groups that it stands in, in words."""
    return _joined(tuple(map(words, leaf.path)))


def _problems(group: Group, above: tuple[str, ...]) -> Iterator[tuple[str, str, Any]]:
    path = (*above, group.label) if group.dotted else above
    if group.replace:
        for text in group.replace.errors:
            yield group.replace.auto_id, _joined(path), text
    for row in group.rows:
        for text in row.bound.errors:
            yield row.first_id, _joined((*path, str(row.bound.label))), text
    for child in group.groups:
        yield from _problems(child, path)


def _joined(path: tuple[str, ...]) -> str:
    return " / ".join(path)


def _nested(form: PreferencesForm, node: Node) -> Group:
    return _group(form, node, words(node.name), [_nested(form, child) for child in node.nodes])


def _group(form: PreferencesForm, node: Node, label: str, groups: list[Group]) -> Group:
    return Group(
        label=label,
        dotted=node.dotted,
        rows=[_row(form, leaf) for leaf in node.leaves],
        groups=groups,
        instead=form.stored.instead_of(node),
        replace=form.replacement(node),
    )


def _row(form: PreferencesForm, leaf: Leaf) -> Row:
    name = leaf.dotted
    row = Row(
        bound=form[name],
        field=form.answers[name],
        stored_answer=form.stored_answers[name],
        kept=form.stored.odd(leaf),
        was=was(name),
        removed=removed(name),
        is_removed=removed(name) in form.data,
    )
    attributes = {"aria-describedby": row.described_by}
    if row.options:
        attributes["list"] = f"{row.bound.auto_id}-list"
    row.field.widget.attrs |= attributes
    return row


@cache
def _options(suggestions: tuple[str, ...]) -> SafeString:
    # There are hundreds of time zones, the same on every page.
    return format_html_join("", '<option value="{}"></option>', ((each,) for each in suggestions))
