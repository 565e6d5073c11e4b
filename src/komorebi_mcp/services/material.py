"""Captures as summarizers read them."""

from komorebi_mcp.domain.captures import Capture, CaptureText
from komorebi_mcp.summarizers.draft import Passage


def passage(capture: Capture | CaptureText) -> Passage:
    return Passage(
        capture_id=capture.id,
        text=capture.content,
        title=capture.title,
        source=capture.source,
        kind=capture.kind,
        language=capture.language,
        created_at=capture.created_at,
    )
