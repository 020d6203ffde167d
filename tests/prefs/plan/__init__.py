"""The plan: every criterion met and unmet, rolled back, said by a team, and printed."""
