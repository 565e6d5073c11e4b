"""What goes wrong is logged without what was captured."""

import sqlite3
from collections.abc import Iterator

import pytest
import structlog
from sqlalchemy.exc import DBAPIError

from komorebi_mcp.cli.logs import configure_logs
from komorebi_mcp.domain.captures import CaptureCreate
from komorebi_mcp.storage.store import open_store
from support.logs import log_plainly

SECRET = "the words of a private diary"  # noqa: S105 - none is checked with it.


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    yield
    log_plainly()


async def test_a_failing_statement_is_logged_without_the_text_it_was_given(
    store_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("DEBUG")
    async with open_store(store_url) as store:
        async with store.work() as queue:
            rename = "ALTER TABLE captures RENAME COLUMN snippet TO hidden"
            await queue._session.run(lambda connection: connection.exec_driver_sql(rename).close())
        try:
            async with store.write("a") as transaction:
                item = CaptureCreate(content=SECRET, title=SECRET, project=SECRET, tags=(SECRET,))
                await transaction.captures.add_all([item])
        except (DBAPIError, sqlite3.Error):
            structlog.get_logger().exception("request.failed")
    logged = capsys.readouterr()
    assert "INSERT INTO captures" in logged.err
    assert "Traceback" in logged.err
    assert SECRET not in logged.err + logged.out
