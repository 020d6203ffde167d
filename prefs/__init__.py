"""Online migration of user preferences from one JSONB column to two typed tables."""

# The one in pyproject.toml; a test holds the two together.
VERSION = "0.1.0"
