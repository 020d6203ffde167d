"""The settings page for people, at whatever address a site includes `prefs.pages.urls`."""
