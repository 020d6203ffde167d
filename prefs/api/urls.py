"""The addresses of the API, for `path("", include("prefs.api.urls"))`."""

from __future__ import annotations

from django.urls import path, register_converter

from prefs.api import views


class _Key:
    """Any text: a key may have slashes in it, which come percent-encoded and arrive decoded."""

    regex = r"(?s:.*)"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: object) -> str:
        return str(value)


register_converter(_Key, "prefs_key")

app_name = "prefs-api"
urlpatterns = [
    path("api/users/<prefs_key:key>/preferences/", views.document, name="document"),
    path("api/preferences/schema.json", views.schema, name="schema"),
    path("api/openapi.json", views.openapi, name="openapi"),
]
