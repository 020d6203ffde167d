"""All routes, transitions and writers against a dictionary."""
