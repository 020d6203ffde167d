"""The three tables as plain models: what a site without this package would write with."""
