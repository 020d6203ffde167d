"""Users in the admin, their preferences among their fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

from tests.previous_release.shop.models import User

if TYPE_CHECKING:
    Users = UserAdmin[User]
else:
    Users = UserAdmin


@admin.register(User)
class ShopUsers(Users):
    """Django's own pages, with one more field."""

    fieldsets = (
        (None, {"fields": ["username", "preferences"]}),
        ("Dates", {"fields": ["last_login", "date_joined"]}),
    )
