"""The Django application of the settings page: its templates, its style sheet, what it needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.contrib.messages.middleware import MessageMiddleware
from django.core.checks import CheckMessage, Error, register
from django.template import engines
from django.template.backends.django import DjangoTemplates
from django.utils.module_loading import import_string

_MESSAGES = "django.contrib.messages.context_processors.messages"


class PagesConfig(AppConfig):
    """Holds no models."""

    name = "prefs.pages"
    label = "prefs_pages"
    verbose_name = "Settings page"

    def ready(self) -> None:
        """Register the check of what the page needs."""
        register(needs_messages, "prefs")


def needs_messages(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """What was saved is said by a message of Django's: an error where it would not be shown."""
    if apps.is_installed("django.contrib.messages") and _are_kept() and _are_shown():
        return []
    return [
        Error(
            "The settings page cannot say what was saved: it does so by a message of Django's.",
            hint=(
                "Add 'django.contrib.messages' to INSTALLED_APPS, its MessageMiddleware to"
                f" MIDDLEWARE, and {_MESSAGES!r} to the context_processors of TEMPLATES."
            ),
            id="prefs_pages.E001",
        )
    ]


def _are_kept() -> bool:
    classes = map(import_string, settings.MIDDLEWARE)
    return any(isinstance(each, type) and issubclass(each, MessageMiddleware) for each in classes)


def _are_shown() -> bool:
    return any(
        _MESSAGES in engine.engine.context_processors
        for engine in engines.all()
        if isinstance(engine, DjangoTemplates)
    )
