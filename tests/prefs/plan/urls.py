"""The addresses of a site that serves metrics."""

from django.http import HttpResponse
from django.urls import path

from prefs.plan.evidence import METRICS

urlpatterns = [path("metrics", HttpResponse, name=METRICS)]
