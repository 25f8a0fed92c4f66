"""The error for a paper that cannot be used."""


class RejectedError(Exception):
    """A paper cannot be used; the message is the reason, in one line."""
