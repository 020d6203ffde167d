"""The differential test: a list of operations, on a plain JSONField and on ours in every state."""
