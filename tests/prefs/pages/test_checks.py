"""What a site that mounts the page has to have besides."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.test import modify_settings, override_settings

PAGE = "prefs_pages.E001"


def found() -> list[str]:
    return [str(message.id) for message in run_checks(tags=["prefs"]) if message.id == PAGE]


def test_the_reference_site_has_what_the_page_needs() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("setting", "removed"),
    [
        ("INSTALLED_APPS", "django.contrib.messages"),
        ("MIDDLEWARE", "django.contrib.messages.middleware.MessageMiddleware"),
    ],
)
def test_a_site_without_messages_is_told(setting: str, removed: str) -> None:
    with modify_settings(**{setting: {"remove": removed}}):
        assert found() == [PAGE]


def test_a_site_whose_templates_do_not_have_the_messages_is_told() -> None:
    templates: Any = deepcopy(settings.TEMPLATES)
    templates[0]["OPTIONS"]["context_processors"].pop()
    with override_settings(TEMPLATES=templates):
        assert found() == [PAGE]
