"""Statistics, comparison and verdicts: tables in, tables out."""
