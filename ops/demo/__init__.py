"""``recouple demo``: two simulated apps with the Northwind customers, a real worker, and one working day."""
