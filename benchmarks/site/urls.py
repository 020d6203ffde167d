"""Its one address, which is ours."""

from django.urls import path

from benchmarks.site.views import document

urlpatterns = [path("api/users/<str:key>/preferences/", document)]
