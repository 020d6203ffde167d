"""The same view as ours, over the column."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_http_methods

from prefs.rehearsal.record import merge_patch


@require_http_methods(["GET", "HEAD", "PATCH"])
def document(request: HttpRequest, key: str) -> HttpResponse:
    """A user's own document, read or merged into."""
    if not request.user.is_authenticated:
        return JsonResponse({"detail": "Log in first."}, status=401)
    if key not in {"me", str(request.user.pk)}:
        return JsonResponse({"detail": "It is another's."}, status=403)
    if not request.accepts("application/json"):
        return JsonResponse({"detail": "The answer is JSON."}, status=406)
    patching = request.method == "PATCH"
    found = _merged(request) if patching else _read(_key(request))
    body = json.dumps(found)
    etag = f'"{hashlib.sha256(body.encode()).hexdigest()}"'
    if request.headers.get("If-None-Match") == etag:
        return HttpResponse(status=304, headers={"ETag": etag})
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    response = HttpResponse(body, content_type="application/json", headers=headers)
    patch_vary_headers(response, ["Cookie"])
    return response


def _key(request: HttpRequest) -> Any:
    return request.user.pk


def _read(key: Any) -> Any:
    return get_user_model()._default_manager.values_list("preferences", flat=True).get(pk=key)


def _merged(request: HttpRequest) -> Any:
    patch, key = json.loads(request.body), _key(request)
    with transaction.atomic():
        user: Any = get_user_model()._default_manager.select_for_update().get(pk=key)
        user.preferences = merge_patch(user.preferences, patch)
        user.save()
    return user.preferences
