"""A site with a test suite of its own, which other processes run (tests/prefs/test_testing.py)."""
