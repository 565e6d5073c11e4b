"""The tool that tells where somebody left off."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from komorebi_mcp.domain.captures import ProjectName
from komorebi_mcp.domain.model import Model
from komorebi_mcp.domain.resume import (
    RESUME_TOKENS_DEFAULT,
    RESUME_TOKENS_MAX,
    Resume,
    ResumeSection,
)
from komorebi_mcp.surface.arguments import Since
from komorebi_mcp.surface.rendering import paragraphs
from komorebi_mcp.surface.tools.record import ADDS, Call, Reply, Result, Tool


class ResumeArguments(Model):
    project: ProjectName | None = None
    since: Since | None = None
    max_tokens: Annotated[int, Field(ge=1, le=RESUME_TOKENS_MAX)] = RESUME_TOKENS_DEFAULT


class ResumeResult(Result):
    project: str | None
    text: str
    sections: tuple[ResumeSection, ...]
    since: datetime | None

    @classmethod
    def of(cls, resume: Resume) -> Self:
        return cls(**{name: getattr(resume, name) for name in cls.model_fields})


async def _run(call: Call, arguments: ResumeArguments) -> Reply:
    resumed = await call.app.resume.resume(call.owner, **dict(arguments))
    more = "More was worth telling: repeat the call with a greater max_tokens." if resumed.truncated else None
    return Reply(ResumeResult.of(resumed), paragraphs([resumed.text, more]))


RESUME = Tool(
    name="resume",
    title="Resume",
    description="Where you left off: decisions, open questions, errors, what is new. Cited.",
    arguments=ResumeArguments,
    result=ResumeResult,
    # It remembers when it was called.
    annotations=ADDS,
    run=_run,
)
