"""The stories of notifications: a local index of `statuses`, rebuilt from the topic wherever it is missing."""
