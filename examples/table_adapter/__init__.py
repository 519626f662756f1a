"""A reference adapter: it speaks for an app whose records live in tables of PostgreSQL or SQLite. See README.md."""
