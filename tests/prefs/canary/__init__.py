"""The canary and the shadow reads."""
