"""Spans for OpenTelemetry: what takes how long, and never what is in it.

Without a tracer provider, as when nobody traces, there are none.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

from opentelemetry.trace import (
    INVALID_SPAN,
    ProxyTracerProvider,
    Span,
    Status,
    StatusCode,
    get_tracer,
    get_tracer_provider,
)


def is_traced() -> bool:
    """Whether somebody takes spans; a provider is set before the program begins, if at all."""
    return not isinstance(get_tracer_provider(), ProxyTracerProvider)


def span(name: str, **attributes: str | int) -> AbstractContextManager[Span]:
    """The time that the block takes, as `komorebi.NAME`; an exception shows by its type alone."""
    return _taken(name, attributes) if is_traced() else _NONE


_NONE: Final = nullcontext(INVALID_SPAN)


@contextmanager
def _taken(name: str, attributes: Mapping[str, str | int]) -> Iterator[Span]:
    tracer = get_tracer("komorebi_mcp")
    told = {f"komorebi.{key}": value for key, value in attributes.items()}
    # An exception's text may hold captured text.
    with tracer.start_as_current_span(
        f"komorebi.{name}", attributes=told, record_exception=False, set_status_on_exception=False
    ) as opened:
        try:
            yield opened
        except Exception as error:
            opened.set_attribute("error.type", type(error).__name__)
            opened.set_status(Status(StatusCode.ERROR))
            raise
