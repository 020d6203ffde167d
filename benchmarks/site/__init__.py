"""A site that never heard of this project: its users have a plain JSONField, and an API of its own.

It serves what ours does, on the same table, by what Django brings.
"""
