"""One owner's data within one transaction."""

from collections.abc import Callable

from komorebi_mcp.domain.changes import Change
from komorebi_mcp.storage.captures import CaptureRepository
from komorebi_mcp.storage.completions import CompletionRepository
from komorebi_mcp.storage.export import ExportRepository
from komorebi_mcp.storage.owned import OwnedSession
from komorebi_mcp.storage.projects import ProjectRepository
from komorebi_mcp.storage.pyramid import PyramidRepository
from komorebi_mcp.storage.recall import RecallRepository
from komorebi_mcp.storage.summaries import SummaryRepository
from komorebi_mcp.storage.tasks import TaskRepository


class Transaction:
    """One owner's data, as of one transaction. Its repositories never commit."""

    def __init__(self, session: OwnedSession, tell: Callable[[Change], None]) -> None:
        self.tell = tell
        """Has a change told, here and in other processes, once it is committed."""
        self.captures = CaptureRepository(session)
        self.projects = ProjectRepository(session)
        self.summaries = SummaryRepository(session)
        self.pyramid = PyramidRepository(session)
        self.completions = CompletionRepository(session)
        self.recall = RecallRepository(session)
        self.export = ExportRepository(session)
        self.tasks = TaskRepository(session)
