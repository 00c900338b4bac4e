"""Web views over the tables: they read and forward, and decide nothing."""
