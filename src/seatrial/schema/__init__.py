"""The configuration's schemas for people (a reference in Markdown) and for editors (JSON Schema of every file)."""
