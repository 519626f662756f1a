"""What we do: consume, decide, write, relay."""
