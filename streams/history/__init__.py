"""The history: every status in a SQL database, for longer than topics and tables keep anything."""
