"""The migration itself: states and their transitions, gates, flips, and background runs.

It never prints, and never sleeps but by the clock it is given: a command, a button and a
test call the same functions.
"""
