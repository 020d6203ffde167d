"""The managers in every route, on real PostgreSQL: what they answer, write, lock and refuse."""
