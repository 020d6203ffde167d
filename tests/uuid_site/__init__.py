"""A site whose users are keyed by UUID: its user model, and the two site migrations."""
