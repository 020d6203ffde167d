"""The preferences of users over HTTP: text from PostgreSQL and to it, the same in every route.

A site mounts it by `path("", include("prefs.api.urls"))`.
"""
