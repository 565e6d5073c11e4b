"""Where settings come from, and what is said of a wrong one."""

from pathlib import Path

import pytest

from komorebi_mcp.errors import ConfigError
from komorebi_mcp.settings import load_settings


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DATABASE_URL", "UPSTREAMS", "SECRETS", "LOG_LEVEL"):
        monkeypatch.delenv(f"KOMOREBI_{name}", raising=False)
    monkeypatch.setenv("KOMOREBI_HOME", str(tmp_path))
    return tmp_path


def test_everything_lies_in_the_home_unless_told_otherwise(home: Path) -> None:
    settings = load_settings()
    assert settings.database_url == f"sqlite+aiosqlite:///{home}/komorebi.db"
    assert settings.upstreams == home / "upstreams.json"
    assert settings.secrets == "redact"


def test_a_variable_beats_the_file_and_the_file_beats_the_default(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "komorebi.env").write_text("KOMOREBI_SECRETS=flag\nKOMOREBI_LOG_LEVEL=info\n")
    monkeypatch.setenv("KOMOREBI_SECRETS", "off")
    settings = load_settings()
    assert (settings.secrets, settings.log_level) == ("off", "INFO")


def test_a_wrong_value_is_named_by_its_variable_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOMOREBI_SECRETS", "hunter2")
    with pytest.raises(ConfigError, match="KOMOREBI_SECRETS") as refused:
        load_settings()
    assert "hunter2" not in str(refused.value)
