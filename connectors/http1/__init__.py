"""HTTP/1.1 for servers that speak nothing newer: one request at a time, on connections that stay (RFC 9112)."""
