"""The address of the settings page, below wherever a site includes this."""

from django.urls import path

from prefs.pages.views import preferences

app_name = "prefs_pages"
urlpatterns = [path("", preferences, name="preferences")]
