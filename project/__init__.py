"""The reference site: settings, addresses, its user model and its embedded PostgreSQL."""
