"""The lane: what ringonce adds to Faust so that chunks are fast and the promise holds.

Faust keeps the worker, the consumer group, the co-partitioned assignment, the tables with their changelogs and
standbys, the routing and the web views. Each class here extends one class of Faust 0.15.3 or aiokafka 0.14 and
names the hole that it closes:

- `chunk`       one Faust event for a chunk of one partition, instead of one for each record
- `consumer`    read committed, chunks with gapless offsets, back-pressure by partition, no commits behind our back
- `transaction` one fenced producer for each stage and partition; the numbered commit order
- `table`       a Faust table of raw bytes that is written after the commit and never before
- `recovery`    fence first, then replay the changelog, then seek, then start
- `lane`        one stage on one partition: takes chunks, keeps time, ends in a transaction
- `app`         the Faust app that puts these in place
"""
