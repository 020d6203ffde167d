"""The plan as text for a terminal, as Markdown, as HTML, and as JSON."""
