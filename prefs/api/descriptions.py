"""The descriptions that are served, as JSON text: schema.json and openapi.json."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from prefs.api import openapi as description
from prefs.api import schemas


@cache
def schema() -> str:
    """JSON Schema of a document; `$defs` has that of a patch, and of what is stored, as well."""
    return _text(
        {
            "$schema": schemas.DIALECT,
            "title": "Preferences",
            "$ref": "#/$defs/document",
            "$defs": {
                "document": schemas.document(),
                "patch": schemas.patch(),
                "stored": schemas.stored({"$ref": "#/$defs/document"}),
            },
        }
    )


@cache
def openapi(root: str) -> str:
    """OpenAPI 3.1 of the API, mounted at `root`."""
    return _text(description.openapi(root))


def _text(found: dict[str, Any]) -> str:
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"
