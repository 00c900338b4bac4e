"""What the front promises: one table of operations. Requests are checked by it, and the OpenAPI document made of it."""
