"""PostgreSQL: every function takes a connection first, runs one named query, never commits."""
