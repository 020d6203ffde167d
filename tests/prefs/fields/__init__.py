"""user.preferences for code that was written when it was a JSONField."""
