"""`python -m streams` is `ringonce`."""

from streams.cli import main

main()
