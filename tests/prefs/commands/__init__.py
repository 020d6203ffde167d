"""Tests of the commands, most of them as processes of their own."""
