"""The path to PostgreSQL."""
