"""The law of DESIGN.md section 5, as tables and small functions.

Everything that decides what happens to a record lives here and nowhere else, and nothing here reads a clock, a file,
a queue or a database, or writes a log: what goes in comes out, today and in a replay a year from now.
"""
