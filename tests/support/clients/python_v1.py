"""What a client of the first Python SDK makes of the server; prints it as JSON.

Usage: python_v1.py URL | python_v1.py COMMAND [ARGUMENT...]
"""

# ruff: noqa: T201  # Whoever started us reads it.
# mypy: ignore-errors
import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client


async def main() -> None:
    first, *rest = sys.argv[1:]
    async with AsyncExitStack() as stack:
        if first.startswith("http"):
            transport = streamablehttp_client(first)
        else:
            transport = stdio_client(StdioServerParameters(command=first, args=rest, env={**os.environ}))
        read, write, *_ = await stack.enter_async_context(transport)
        session = await stack.enter_async_context(ClientSession(read, write))
        about = await session.initialize()
        captured = await session.call_tool(
            "capture", {"content": "The owl counts ü twice.", "project": "Owls"}
        )
        receipt = captured.structuredContent
        found = await session.call_tool("search_captures", {"query": "owl"})
        summary = await session.call_tool("summarize", {"project": "Owls"})
        resource = await session.read_resource(receipt["uri"])
        refused = await session.call_tool("list_captures", {"limit": 0})
        print(
            json.dumps(
                {
                    "version": about.protocolVersion,
                    "tools": [tool.name for tool in (await session.list_tools()).tools],
                    "prompts": [prompt.name for prompt in (await session.list_prompts()).prompts],
                    "captured": receipt["id"],
                    "found": [hit["id"] for hit in found.structuredContent["hits"]],
                    "cited": summary.structuredContent["sentences"][0]["sources"],
                    "content": json.loads(resource.contents[0].text)["content"],
                    "refused": refused.isError,
                }
            )
        )


asyncio.run(main())
