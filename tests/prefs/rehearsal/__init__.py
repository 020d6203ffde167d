"""Tests of the rehearsal: that it passes, and that it can fail."""
