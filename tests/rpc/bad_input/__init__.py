"""What callers get wrong, by area: the rows of the table, and what is no matter of a spec."""
