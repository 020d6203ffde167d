"""The view of the settings page: shows what is stored, saves what was changed.

A save is one transaction: the owner's row is locked, what is stored is read, what was changed on
the page is merged into it. So what is decided on is what is there when it is written.
"""

from __future__ import annotations

import codecs
import logging
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest, ObjectDoesNotExist
from django.db import router, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from prefs.api.callers import own_key
from prefs.codec import InvalidDocument, UnprintableDocument, encode
from prefs.managers import UnsupportedIsolation
from prefs.models import UserPreferences
from prefs.owners import key_of
from prefs.pages.forms import PreferencesForm
from prefs.pages.layout import groups_of, problems, title
from prefs.pages.stored import Stored
from prefs.routing import MissingSwitch

_log = logging.getLogger(__name__)

_LATER = _(
    "Your preferences cannot be reached at the moment. Nothing was changed. Please try again in a"
    " few minutes."
)
# What a person is told, where there is no page to show.
_TROUBLE: dict[type[Exception], tuple[int, Any]] = {
    MissingSwitch: (503, _LATER),
    UnsupportedIsolation: (503, _LATER),
    UnprintableDocument: (
        507,
        _(
            "What is stored for you is too large to be shown. All of it is kept; please ask those"
            " who run this site to correct it."
        ),
    ),
    ObjectDoesNotExist: (404, _("There are no preferences for this account.")),
}


@login_required
@never_cache
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def preferences(request: HttpRequest) -> HttpResponse:
    """The caller's own preferences: the page, or what was changed on it saved."""
    try:
        return _save(request) if request.method == "POST" else _show(request)
    except tuple(_TROUBLE) as error:
        status, sentence = next(told for kind, told in _TROUBLE.items() if isinstance(error, kind))
        _log.warning("The settings page answered %s: %s", status, error)
        return render(request, "prefs/trouble.html", {"sentence": sentence}, status=status)


def _show(request: HttpRequest) -> HttpResponse:
    documents = UserPreferences.objects
    text = documents.document_text(key_of(own_key(request)))
    return _page(request, PreferencesForm(Stored.of(text, documents.db)))


def _save(request: HttpRequest) -> HttpResponse:
    """Merge what was changed, under the owner's lock (FOR NO KEY UPDATE), or show what is wrong."""
    # A browser sends the page's own. In others there are texts that no page can show again.
    if codecs.lookup(request.encoding or "utf-8").name != "utf-8":
        raise BadRequest(f"The form is sent in {request.encoding}; expected UTF-8.")
    alias = router.db_for_write(UserPreferences)
    documents, owner = UserPreferences.objects.db_manager(alias), key_of(own_key(request))
    with transaction.atomic(using=alias):
        form = PreferencesForm(Stored.locked(owner, alias), request.POST)
        if form.is_valid() and form.changed:
            try:
                documents.merge_text(owner, encode(owner, form.patch()))
            except InvalidDocument as error:
                form.refused(error.errors)
    if form.errors:
        return _page(request, form, status=422)
    what = "; ".join(map(title, form.changed))
    messages.success(request, _("Saved: %s.") % what if what else _("Nothing was changed."))
    # To the same address, without this request's body: to load it again sends nothing again.
    return redirect(request.path)


def _page(request: HttpRequest, form: PreferencesForm, status: int = 200) -> HttpResponse:
    groups = groups_of(form)
    context = {"groups": groups, "problems": list(problems(form, groups))}
    return render(request, "prefs/preferences.html", context, status=status)
