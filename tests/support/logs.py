"""Logs of tests: as the product writes them, on stdout."""

import logging

import structlog


def log_plainly() -> None:
    """Undoes a command's own arrangement, too; structlog's default takes seconds to draw a traceback."""
    structlog.reset_defaults()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(),
        ]
    )
    logging.basicConfig(handlers=[logging.NullHandler()], force=True)
