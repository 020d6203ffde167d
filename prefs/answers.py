"""The form fields by which a person sets a leaf: one of a few answers, or a line of text.

"Not set" is an answer of its own, the empty one. What is stored although it does not fit the leaf
has the answer `KEPT`, and stays as it is until another answer is given.
"""

from __future__ import annotations

import abc
import json
from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _

# Nobody can type it, as a line is stripped of spaces, and it is no JSON, as other choices are.
KEPT = " "

_ABBREVIATIONS = {"eu", "iso", "sms", "us", "utc"}


def words(name: str) -> str:
    """The name of a leaf, a group or a choice in plain words, translated where a site has them."""
    text = name.upper() if name in _ABBREVIATIONS else name.replace("_", " ").strip().capitalize()
    return _(text) if text else name


def was(name: str) -> str:
    """The name of the hidden input with the answer that the page was rendered with."""
    return f"{name}:was"


def removed(name: str) -> str:
    """The name of the checkbox by which a line that is kept becomes "not set"."""
    return f"{name}:remove"


class Answer(forms.Field, abc.ABC):
    """What a person can answer for a leaf."""

    suggestions: tuple[str, ...] = ()

    @abc.abstractmethod
    def answer(self, value: Any) -> str:
        """The answer that stands for a value that fits."""

    @abc.abstractmethod
    def offer_to_keep(self) -> None:
        """Make `KEPT` an answer: something is stored that does not fit."""

    def given(self, data: Mapping[str, Any], name: str) -> str | None:
        """The answer in what a browser sent; None where it sent none."""
        found: str | None = self.widget.value_from_datadict(data, MultiValueDict(), name)
        return found

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether it is another answer than the initial one."""
        return bool((initial or "") != (data or ""))


class OneOf(Answer, forms.TypedChoiceField):
    """One of a few values, or none. Its answers are the values' JSON."""

    widget = forms.RadioSelect

    def __init__(self, values: Mapping[Any, str], *, expected: str) -> None:
        given = [(self.answer(value), label) for value, label in values.items()]
        self._given = [*given, ("", _("Not set"))]
        super().__init__(
            choices=self._given,
            coerce=json.loads,
            empty_value=None,
            required=False,
            error_messages={"invalid_choice": _enter(expected)},
        )

    def answer(self, value: Any) -> str:
        """As JSON, which neither `KEPT` nor the empty answer is."""
        return json.dumps(value)

    def offer_to_keep(self) -> None:
        """Put it before the others."""
        self.choices = [(KEPT, _("Keep as it is")), *self._given]


class _LineInput(forms.TextInput):
    def value_from_datadict(self, data: Any, files: Any, name: str) -> str | None:
        text: str | None = data.get(name)
        text = text.strip() if text is not None else None
        kept = data.get(was(name)) == KEPT and removed(name) not in data
        return KEPT if text == "" and kept else text

    def format_value(self, value: Any) -> str | None:
        return None if value == KEPT else super().format_value(value)


class Line(Answer, forms.CharField):
    """A line of text that `parse` makes a value of, or None where it is not what is expected."""

    widget = _LineInput

    def __init__(
        self,
        parse: Callable[[str], Any],
        *,
        expected: str,
        help_text: str,
        suggestions: tuple[str, ...] = (),
        **attributes: Any,
    ) -> None:
        super().__init__(required=False, empty_value=None, help_text=help_text)
        self._parse, self._expected = parse, expected
        self.suggestions = suggestions
        self.widget.attrs |= {"autocomplete": "off", "spellcheck": "false", **attributes}
        self.widget.attrs["placeholder"] = _("Not set")

    def answer(self, value: Any) -> str:
        """As its text."""
        return str(value)

    def offer_to_keep(self) -> None:
        """Say that nothing entered means it."""
        self.widget.attrs["placeholder"] = _("Keep as it is")

    def clean(self, value: Any) -> Any:
        """The value; None for "not set"."""
        text = super().clean(value)
        if text is None:
            return None
        found = self._parse(text)
        if found is None:
            raise ValidationError(_enter(self._expected))
        return found


def _enter(expected: str) -> str:
    return _("Enter %(expected)s.") % {"expected": expected}
