"""HTTP/2 of our own, which says of each request whether it may have arrived. README.md in this folder tells why."""
