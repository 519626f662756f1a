"""Alembic migrations; run by ``store.migrate``, one sentence and one file per revision."""
