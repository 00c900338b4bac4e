"""Who may call what: API keys, sessions of the page, forwarding between workers, limits, and the audit log."""
