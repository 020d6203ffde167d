"""Users in the admin, with Django's own pages and the preferences."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

from project.accounts.models import User


@admin.register(User)
class Users(UserAdmin):  # type: ignore[type-arg]  # generic for mypy alone
    """Django's page, and a box with the document."""

    fieldsets = (*(UserAdmin.fieldsets or ()), ("Preferences", {"fields": ["preferences"]}))
