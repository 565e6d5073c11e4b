"""Where settings come from, and what is said of a wrong one."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from komorebi_mcp.errors import ConfigError
from komorebi_mcp.settings import default_home, load_settings, local_zone, unused_settings


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


def test_an_empty_variable_counts_as_unset(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "komorebi.env").write_text("KOMOREBI_SECRETS=flag\n")
    monkeypatch.setenv("KOMOREBI_SECRETS", "")
    monkeypatch.setenv("KOMOREBI_LIMIT_CAPTURES", "")
    settings = load_settings()
    assert (settings.secrets, settings.limit_captures) == ("flag", 6_000)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.setenv("KOMOREBI_HOME", "")
    assert load_settings().home == default_home()


def test_what_is_set_and_means_nothing_is_told_of(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert unused_settings() == ()
    monkeypatch.setenv("KOMOREBI_SECRET", "off")
    file = home / "komorebi.env"
    file.write_text("KOMOREBI_MODEL=llama\nKOMOREBI_HOME=/elsewhere\nsecrets=off\nKOMOREBI_AUTH\n")
    assert unused_settings() == (
        "KOMOREBI_SECRET is set and is no setting. Did you mean KOMOREBI_SECRETS?",
        f"{file} sets KOMOREBI_HOME, which is read from the environment alone.",
        f"{file} sets secrets, which is no setting.",
        f"{file} has the line 'KOMOREBI_AUTH', which is not of the form NAME=value.",
    )


@pytest.fixture
def zone_of_the_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """What the test does to the zone of this process ends with the test."""
    with monkeypatch.context() as patch:
        # tzlocal reads TZ once in a process.
        patch.setattr("tzlocal.unix._cache_tz", None)
        local_zone.cache_clear()
        yield patch
    local_zone.cache_clear()
    time.tzset()


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the system does not read TZ")
@pytest.mark.parametrize(("name", "hours"), [("<-03>3", -3), ("UTC-5", 5), ("No/Such_Zone", 0)])
def test_a_zone_without_a_known_name_is_as_far_from_utc_as_the_system_says(
    zone_of_the_test: pytest.MonkeyPatch, name: str, hours: int
) -> None:
    zone_of_the_test.setenv("TZ", name)
    time.tzset()
    assert local_zone().utcoffset(datetime.now(UTC)) == timedelta(hours=hours)
