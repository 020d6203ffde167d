"""Views of a site whose requests are transactions, or not: what its writes come to."""

from __future__ import annotations

import json
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from prefs.codec import InvalidDocument
from prefs.models import UserPreferences


class Failed(Exception):
    """What a view that fails raises: the answer is 500."""


def work(request: HttpRequest) -> HttpResponse:
    """Merge every patch, then do as `then` says: fail, answer with an error, go on."""
    order: dict[str, Any] = json.loads(request.body)
    refused: list[str] = []
    for user, patch in order["patches"]:
        try:
            UserPreferences.objects.merge(user, patch)
        except InvalidDocument as error:
            refused.append(str(error))
    match order.get("then"):
        case "fail":
            raise Failed
        case "set rollback":
            transaction.set_rollback(True)
    return JsonResponse({"refused": refused}, status=400 if refused else 200)


urlpatterns = [
    path("atomic/", csrf_exempt(work)),
    path("plain/", transaction.non_atomic_requests(csrf_exempt(work))),
]
