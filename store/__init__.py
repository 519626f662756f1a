"""What we know: images of records, couplings, errors, the synchronization log, and what is still to be sent.

Every function takes a connection inside a transaction (``store.connect``) and works on whole sets: how many statements
it runs does not depend on how many rows it is given, and for none it runs none.

Locks are taken in this order, and nothing takes one to the left of one it holds (docs/decisions/0004-lock-order.md):
work due → handled ids → match values → records (app, table, key) → couplings (number) → arrivals.
"""
