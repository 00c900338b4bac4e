"""The demo: a whole system on one machine, a realistic stream of events, and a check of the promise at the end."""
