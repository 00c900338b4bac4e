"""Chaos: seeded faults, a workload, and the auditor, which reads only the record."""
