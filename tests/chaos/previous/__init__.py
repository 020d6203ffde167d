"""The user model of the release before, frozen: the column is a plain JSONField to it."""
