"""What can go wrong with the embedded broker."""


class EmbeddedKafkaError(Exception):
    """The broker cannot be started or has ended; the message says why and what to do about it."""
