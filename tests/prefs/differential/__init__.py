"""The differential test: one list of operations, on a plain JSONField and on ours in every state."""
