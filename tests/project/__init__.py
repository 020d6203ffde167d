"""Tests of the site around the app."""
