"""The long harness: many processes, random transitions, kills and crashes, and a checker.

`make chaos` runs it. Clients append unique tokens to the documents of users and keep a ledger
outside the database; meanwhile transitions are taken forward and back, processes are killed
with SIGKILL, the server is stopped at once and started again. The checker then compares.
"""
