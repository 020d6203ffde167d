"""Online migration of user preferences from one JSONB column to two typed tables."""
