"""The settings page over HTTP as a browser without scripts has it: read, answered, sent."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from django.test import Client
from django.urls import reverse

from prefs.models import UserPreferences
from project.accounts.models import User
from tests.support import stores
from tests.support.stores import Place

ADDRESS = "/preferences/"
NOT_SET = ""
# Of time zones there are hundreds, and they are no text of the page.
_COMPLETIONS = re.compile("<option.*</option>")


@dataclass
class Shown(HTMLParser):
    """What a page shows: its inputs as a browser would send them, its texts, its errors."""

    answers: dict[str, str] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)
    inputs: dict[str, dict[str, str | None]] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    text: str = ""
    tags: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.tags.append(tag)
        if identity := named.get("id"):
            self.ids.append(identity)
        if tag == "a":
            self.links.append(named.get("href") or "")
        name = named.get("name")
        if tag != "input" or name is None:
            return
        kind, value = named.get("type"), named.get("value") or ""
        self.inputs[name] = named
        if kind == "radio":
            self.choices.setdefault(name, []).append(value)
        if kind not in ("radio", "checkbox") or "checked" in named:
            self.answers[name] = value if kind != "checkbox" else "on"

    def handle_data(self, data: str) -> None:
        self.text += data


def read(answer: Any) -> Shown:
    """The page of an answer."""
    shown = Shown()
    shown.feed(_COMPLETIONS.sub("", answer.content.decode()))
    shown.text = " ".join(shown.text.split())
    return shown


@dataclass
class Person:
    """Somebody with a document, at the page."""

    user: User
    client: Client

    @classmethod
    def with_document(cls, place: Place, text: str | None, **options: Any) -> Person:
        user = User._base_manager.get(pk=stores.insert_user(place, text))
        client = Client(**options)
        client.force_login(user)
        return cls(user, client)

    @property
    def document(self) -> Any:
        return UserPreferences.objects.document(self.user.pk)

    @property
    def text(self) -> str | None:
        return UserPreferences.objects.document_text(self.user.pk)

    def opens(self) -> Shown:
        """The page, which there has to be."""
        answer = self.client.get(ADDRESS)
        assert answer.status_code == 200
        return read(answer)

    def sends(self, page: Shown, answers: dict[str, str]) -> Any:
        """The answer to the page with these answers given and the others left."""
        return self.client.post(ADDRESS, page.answers | answers)

    def saves(self, page: Shown, answers: dict[str, str]) -> Shown:
        """The page after they were saved, as they have to be."""
        answer = self.sends(page, answers)
        assert answer.status_code == 302, read(answer).text
        assert answer["Location"] == ADDRESS
        return self.opens()

    def is_refused(self, page: Shown, answers: dict[str, str]) -> Shown:
        """The page again, with what is wrong, and nothing saved."""
        before = self.text
        answer = self.sends(page, answers)
        assert answer.status_code == 422
        assert self.text == before
        return read(answer)


def json_text(value: Any) -> str:
    """The answer that stands for a choice."""
    return json.dumps(value)


def login_page() -> str:
    return reverse("login")
