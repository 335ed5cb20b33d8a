"""What an exchange refuses: one clear paragraph each, with the remedy."""


class ExchangeError(Exception):
    """A file, or a question about one, that cannot be answered as it was asked."""
