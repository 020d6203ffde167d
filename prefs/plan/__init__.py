"""The implementation plan as data: what is to be done, how far it is, and what says so.

Nothing is ticked by hand. Every acceptance criterion is a function of one look at the database,
its records and the code; whoever shows or publishes the plan renders what `build` gives.
"""
