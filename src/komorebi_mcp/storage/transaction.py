"""One owner's data within one transaction."""

from collections.abc import Callable

from sqlalchemy import Connection

from komorebi_mcp.domain.changes import Change
from komorebi_mcp.storage.captures import CaptureRepository
from komorebi_mcp.storage.completions import CompletionRepository
from komorebi_mcp.storage.outward import OutwardRepository
from komorebi_mcp.storage.owned import Rows
from komorebi_mcp.storage.projects import ProjectRepository
from komorebi_mcp.storage.pyramid import PyramidRepository
from komorebi_mcp.storage.recall import RecallRepository
from komorebi_mcp.storage.sessions import Session
from komorebi_mcp.storage.summaries import SummaryRepository
from komorebi_mcp.storage.tasks import TaskRepository


class Transaction:
    """One owner's data, as of one transaction. Its repositories never commit."""

    def __init__(
        self, session: Session, bind: Callable[[Connection], Rows], tell: Callable[[Change], None]
    ) -> None:
        self.tell = tell
        """Has a change told, here and in other processes, once it is committed."""
        self.captures = CaptureRepository(session, bind)
        self.projects = ProjectRepository(session, bind)
        self.summaries = SummaryRepository(session, bind)
        self.pyramid = PyramidRepository(session, bind)
        self.completions = CompletionRepository(session, bind)
        self.recall = RecallRepository(session, bind)
        self.outward = OutwardRepository(session, bind)
        self.tasks = TaskRepository(session, bind)
