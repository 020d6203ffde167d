"""What tests of several rooms share: databases, stores, routes, sessions, commands."""
