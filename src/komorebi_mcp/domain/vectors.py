"""What a text means, as a model sees it."""

from komorebi_mcp.domain.model import Model


class Vector(Model):
    """A direction: texts that mean alike point alike, where the same model has read both."""

    model: str
    """Which model, and which of its files: vectors of different ones have nothing in common."""
    values: bytes
    """One signed byte a dimension; empty where the model knows no word of the text."""


class Coverage(Model):
    """How many captures have a vector."""

    read: int
    """By the model that was asked about."""
    indexed: int
    """Of so many that are enriched."""
