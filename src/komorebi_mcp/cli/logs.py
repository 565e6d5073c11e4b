"""Logs: lines on stderr, for whoever runs the server."""

import json
import logging
import sys
from typing import Literal

import structlog
from structlog.typing import Processor


def configure_logs(level: str, *, form: Literal["text", "json"] = "text") -> None:
    """Sends our logs and those of libraries to stderr, from `level` up; stdout is the protocol's.

    Libraries do not debug: they would show every statement and message, captured text and all.
    """
    number = logging.getLevelNamesMapping()[level]
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Python's own traceback: the prettier ones print the values of variables, captured text among them.
        structlog.processors.format_exc_info,
    ]
    written: Processor = structlog.processors.JSONRenderer()
    if form == "text":
        written = structlog.processors.KeyValueRenderer(
            key_order=["timestamp", "level", "event"], drop_missing=True, repr_native_str=False
        )
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *shared, written],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    if form == "text":
        plain = "timestamp=%(asctime)s level=%(levelname)s event=%(name)s: %(message)s"
        handler.setFormatter(logging.Formatter(plain))
    else:
        drop_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
        handler.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name], processors=[drop_meta, written]
            )
        )
    logging.basicConfig(level=max(number, logging.INFO), handlers=[handler], force=True)


def announce(sentence: str, *, form: Literal["text", "json"], **told: str) -> None:
    """Writes to stderr what whoever started the process waits for, whatever the level.

    `told` is what programs want of the sentence, and is set apart in JSON.
    """
    if form == "json":
        stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
        sentence = json.dumps(stamp(None, "info", {**told, "event": sentence, "level": "info"}))
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
