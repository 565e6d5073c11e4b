"""Logs: lines on stderr, for whoever runs the server."""

import logging
import sys

import structlog


def configure_logs(level: str) -> None:
    """Sends our logs and those of libraries to stderr, from `level` up; stdout is the protocol's.

    Libraries do not debug: they would show every statement and message, captured text and all.
    """
    number = logging.getLevelNamesMapping()[level]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Python's own traceback: the prettier ones print the values of variables, captured text among
            # them.
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(
                key_order=["timestamp", "level", "event"], drop_missing=True, repr_native_str=False
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(
        level=max(number, logging.INFO),
        stream=sys.stderr,
        format="timestamp=%(asctime)s level=%(levelname)s event=%(name)s: %(message)s",
        force=True,
    )
