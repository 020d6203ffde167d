"""Callers of every kind: their transactions, isolation levels, pools and proxies."""
