"""Tests of the triggers that expand installs."""
