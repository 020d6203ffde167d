"""Tests of the engine: states, gates, transitions, runs."""
