"""Enrich: what can be told of a capture from its own text."""

from collections.abc import Callable

from komorebi_mcp.domain.captures import Capture, Enrichment
from komorebi_mcp.domain.vectors import Vector
from komorebi_mcp.text.cues import asks, tells_when
from komorebi_mcp.text.entities import find_entities
from komorebi_mcp.text.keywords import find_keywords
from komorebi_mcp.text.language import detect_language
from komorebi_mcp.text.likeness import signature
from komorebi_mcp.text.terms import terms
from komorebi_mcp.text.titles import make_title
from komorebi_mcp.text.tokens import estimate_tokens


def enrich(capture: Capture, read: Callable[[str], Vector | None] | None = None) -> Enrichment:
    """Title, size, language, keywords, entities and index terms, always the same for the same capture.

    With `read`, also what a model makes of its content.
    """
    content = capture.content
    content_terms = terms(content)
    title = make_title(content)
    filed_under = " ".join(
        part for part in (capture.title, capture.source, capture.project, *capture.tags) if part
    )
    return Enrichment(
        title=title,
        tokens=estimate_tokens(content),
        language=detect_language(content),
        keywords=find_keywords(content),
        entities=find_entities(content),
        terms=content_terms,
        meta_terms=terms(filed_under),
        asks=asks(content),
        tells_when=tells_when(content),
        signature=signature(content_terms),
        vector=read(content) if read else None,
    )
