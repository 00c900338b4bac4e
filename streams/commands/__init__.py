"""The commands of `ringonce`, one file each; streams/cli.py lists them."""
