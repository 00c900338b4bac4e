"""Events from options, files and pipes onto the topics `notifications`, `devices`, `preferences` and `profiles`."""
