"""Tests, on real PostgreSQL always; the folders mirror those of the code."""
