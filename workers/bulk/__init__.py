"""Bulk work: commands about many couplings or errors, a chunk in each transaction."""
