"""The rehearsal: all phases and the way back, under live traffic, in a scratch database.

What it proves rests on records that the client processes keep outside the database: every
write that was acknowledged to them, and what they read.
"""
