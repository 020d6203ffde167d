"""The form of the settings page, made from the mapping: what a leaf is, its domain knows.

What was answered is compared with what the page was rendered with, so that only what this person
changed on this page is saved, whatever has been saved elsewhere meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.forms import BoundField
from django.utils.translation import gettext as _

from prefs.answers import KEPT, Answer, removed, was, words
from prefs.mapping import LEAVES, Leaf, Node, inner_nodes
from prefs.pages.stored import Stored


class PreferencesForm(forms.Form):
    """What is stored, to be answered by a person.

    `answers` are the fields of the leaves, `stored_answers` what stands for what is stored now.
    """

    def __init__(self, stored: Stored, data: Mapping[str, Any] | None = None) -> None:
        self.stored = stored
        self.answers = {leaf.dotted: _field(leaf, stored) for leaf in LEAVES}
        self.stored_answers = {
            leaf.dotted: _answer(self.answers[leaf.dotted], leaf, stored) for leaf in LEAVES
        }
        given = None if data is None else _rebased(data, self.answers, self.stored_answers)
        super().__init__(given, initial=self.stored_answers)
        self.fields.update(self.answers)
        self._replaced = [node for node in inner_nodes() if stored.instead_of(node) is not None]
        for node in self._replaced:
            self.fields[_replace(node)] = forms.BooleanField(
                required=False, label=_("Replace it by the settings below")
            )

    def replacement(self, node: Node) -> BoundField | None:
        """The box to tick where something would be lost with the first leaf of a group."""
        return self[_replace(node)] if node in self._replaced else None

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
        for node in self._replaced:
            below = any(leaf.path[: len(node.path)] == node.path for leaf in self.changed)
            if below and not self.cleaned_data.get(_replace(node)):
                self.add_error(
                    _replace(node),
                    _("Nothing was saved: tick this box to replace what is stored here."),
                )
        return self.cleaned_data

    def refused(self, errors: Mapping[str, str]) -> None:
        """Put the errors of InvalidDocument at their fields."""
        for dotted, text in errors.items():
            self.add_error(dotted if dotted in self.fields else None, text)


def _replace(node: Node) -> str:
    return f"{node.dotted}:replace"


def _field(leaf: Leaf, stored: Stored) -> Answer:
    field = leaf.domain.form_field()
    field.label = words(leaf.name)
    if stored.odd(leaf):
        field.offer_to_keep()
    return field


def _answer(field: Answer, leaf: Leaf, stored: Stored) -> str:
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
