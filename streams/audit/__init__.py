"""The auditor: reads only the record, and says whether the promise was kept. Reading is separate from checking."""
