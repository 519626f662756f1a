"""What people use: the ``recouple`` command line. Reads the store, sends commands as messages."""
