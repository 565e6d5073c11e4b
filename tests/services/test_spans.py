"""What a tracer is told: that things happen and how long they take, never what is in them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from komorebi_mcp.domain.captures import CaptureCreate
from komorebi_mcp.domain.spans import span
from support.rooms import open_rooms


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


async def test_captures_enrichment_and_summary_nodes_are_spans_without_content(
    tmp_path: Path, told: InMemorySpanExporter
) -> None:
    async with open_rooms(tmp_path) as rooms:
        await rooms.capture.capture("alice", CaptureCreate(content="The kiln broke.", project="works"))
        await rooms.settle()
    spans = told.get_finished_spans()
    assert {one.name for one in spans} == {"komorebi.capture", "komorebi.enrich", "komorebi.summary_nodes"}
    everything = "".join(one.to_json() for one in spans)
    assert not any(word in everything for word in ("kiln", "works", "alice"))


def test_an_exception_shows_by_its_type_alone(told: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="kiln"), span("enrich"):
        raise ValueError("The kiln broke.")
    (one,) = told.get_finished_spans()
    assert one.attributes == {"error.type": "ValueError"}
    assert not one.status.is_ok
    assert "kiln" not in one.to_json()
