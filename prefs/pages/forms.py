"""The form of the settings page, made from the mapping: what a leaf is, its domain knows.

What was answered is compared with what the page was rendered with, so that only what this person
changed on this page is saved, whatever has been saved elsewhere meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from django import forms
from django.forms import BoundField
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from prefs.answers import KEPT, Answer, removed, was, words
from prefs.mapping import LEAVES, TREE, Leaf, Node, inner_nodes
from prefs.pages.stored import Part, Stored


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


class PreferencesForm(forms.Form):
    """What is stored, to be answered by a person."""

    def __init__(self, stored: Stored, data: Mapping[str, Any] | None = None) -> None:
        self._stored = stored
        self._answers = {leaf.dotted: _field(leaf, stored) for leaf in LEAVES}
        self._initial = {
            leaf.dotted: _answer(self._answers[leaf.dotted], stored, leaf) for leaf in LEAVES
        }
        given = None if data is None else _rebased(data, self._answers, self._initial)
        super().__init__(given, initial=self._initial)
        self.fields.update(self._answers)
        self._replaced = {
            node.dotted: node for node in inner_nodes() if stored.instead_of(node) is not None
        }
        for dotted in self._replaced:
            self.fields[_replace(dotted)] = forms.BooleanField(
                required=False, label=_("Replace it by the settings below")
            )

    @property
    def changed(self) -> list[Leaf]:
        """The leaves that were answered otherwise than the page was rendered."""
        return [leaf for leaf in LEAVES if leaf.dotted in self.changed_data]

    def patch(self) -> dict[str, Any]:
        """The merge patch of what was changed; null removes a leaf."""
        patch: dict[str, Any] = {}
        for leaf in self.changed:
            node = patch
            for name in leaf.path[:-1]:
                node = node.setdefault(name, {})
            node[leaf.name] = self.cleaned_data[leaf.dotted]
        return patch

    def clean(self) -> dict[str, Any]:
        """Ask nothing about what was not changed; refuse what contradicts itself or loses more."""
        changed = {leaf.dotted for leaf in self.changed}
        for name in set(self.errors) - changed:
            del self.errors[name]
        for name in changed & self.cleaned_data.keys():
            if removed(name) in self.data and self.cleaned_data[name] is not None:
                self.add_error(name, _("Enter a value or choose “Not set”, not both."))
        for dotted, node in self._replaced.items():
            below = [leaf for leaf in self.changed if leaf.path[: len(node.path)] == node.path]
            if below and not self.cleaned_data.get(_replace(dotted)):
                self.add_error(
                    _replace(dotted),
                    _("Nothing was saved: tick this box to replace what is stored here."),
                )
        return self.cleaned_data

    def refused(self, errors: Mapping[str, str]) -> None:
        """Put the errors of InvalidDocument at their fields."""
        for dotted, text in errors.items():
            self.add_error(dotted if dotted in self.fields else None, text)

    def groups(self) -> list[Group]:
        """The page from top to bottom: the leaves at the top, then the groups."""
        top = self._group(TREE, label=_("General"), groups=[])
        return [top, *(self._group(node) for node in TREE.nodes)]

    def problems(self) -> Iterator[tuple[str, str, Any]]:
        """For the summary: (id to go to, where it is, what is wrong), in the order of the page."""
        for text in self.non_field_errors():
            yield "", "", text
        for group in self.groups():
            yield from self._problems(group, ())

    def _problems(self, group: Group, above: tuple[str, ...]) -> Iterator[tuple[str, str, Any]]:
        path = (*above, group.label) if group.dotted else above
        if group.replace:
            for text in group.replace.errors:
                yield group.replace.auto_id, _joined(path), text
        for row in group.rows:
            for text in row.bound.errors:
                yield row.first_id, _joined((*path, str(row.bound.label))), text
        for child in group.groups:
            yield from self._problems(child, path)

    def _group(self, node: Node, label: str = "", groups: list[Group] | None = None) -> Group:
        replace = self[_replace(node.dotted)] if node.dotted in self._replaced else None
        return Group(
            label=label or words(node.name),
            dotted=node.dotted,
            rows=[self._row(leaf) for leaf in node.leaves],
            groups=[self._group(child) for child in node.nodes] if groups is None else groups,
            instead=self._stored.instead_of(node),
            replace=replace,
        )

    def _row(self, leaf: Leaf) -> Row:
        name, part = leaf.dotted, self._stored.leaf(leaf)
        row = Row(
            bound=self[name],
            field=self._answers[name],
            stored_answer=self._initial[name],
            kept=part if _kept(part) else None,
            was=was(name),
            removed=removed(name),
            is_removed=removed(name) in self.data,
        )
        attributes = {"aria-describedby": row.described_by}
        if row.options:
            attributes["list"] = f"{row.bound.auto_id}-list"
        row.bound.field.widget.attrs |= attributes
        return row


def title(leaf: Leaf) -> str:
    """A leaf with the groups that it stands in, in words."""
    return _joined(tuple(map(words, leaf.path)))


def _joined(path: tuple[str, ...]) -> str:
    return " / ".join(path)


@cache
def _options(suggestions: tuple[str, ...]) -> SafeString:
    # There are hundreds of time zones, the same on every page.
    return format_html_join("", '<option value="{}"></option>', ((each,) for each in suggestions))


def _replace(dotted: str) -> str:
    return f"{dotted}:replace"


def _kept(part: Part | None) -> bool:
    return part is not None and not part.fits


def _field(leaf: Leaf, stored: Stored) -> Answer:
    field = leaf.domain.form_field()
    field.label = words(leaf.name)
    if _kept(stored.leaf(leaf)):
        field.offer_to_keep()
    return field


def _answer(field: Answer, stored: Stored, leaf: Leaf) -> str:
    """The answer that stands for what is stored of a leaf."""
    part = stored.leaf(leaf)
    if part is None:
        return ""
    return field.answer(part.value) if part.fits else KEPT


def _rebased(
    data: Mapping[str, Any], fields: Mapping[str, Answer], stored: Mapping[str, str]
) -> dict[str, Any]:
    """What was answered where that is a change, and what is stored now everywhere else."""
    rebased = dict(data.items())
    for name, field in fields.items():
        answer = field.given(data, name)
        if answer is None or answer == data.get(was(name)):
            rebased |= {name: stored[name], was(name): stored[name]}
            rebased.pop(removed(name), None)
    return rebased
