"""What is said between the apps, the operators and Recouple, and how it travels.

The modules of this package import no I/O library; only ``messages.transport`` touches a broker.
"""
