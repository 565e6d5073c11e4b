"""References to secrets lead to their values, and the values to nowhere else."""

import json
import sys
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from komorebi_mcp.errors import ConfigError
from komorebi_mcp.upstream.secrets import MASK, Secrets

VALUE = 's3cret/"with" ünusual'


def secrets() -> Secrets:
    return Secrets({"TOKEN": VALUE, "EMPTY": "", "SHORT": "ab"})


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        ("${env:TOKEN}", VALUE),
        ("Bearer ${env:TOKEN}!", f"Bearer {VALUE}!"),
        ("${env:EMPTY}", ""),
        ("env://TOKEN", VALUE),
        ("see env://TOKEN", "see env://TOKEN"),
        ("$TOKEN ${TOKEN} ${other:TOKEN}", "$TOKEN ${TOKEN} ${other:TOKEN}"),
    ],
)
def test_a_reference_is_replaced_by_its_value(text: str, resolved: str) -> None:
    assert secrets().resolve(text) == resolved


@pytest.mark.parametrize("text", ["${env:MISSING}", "env://MISSING"])
def test_a_missing_variable_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="MISSING is not set"):
        secrets().resolve(text)


def test_input_of_an_editor_is_refused_with_the_way_out() -> None:
    with pytest.raises(ConfigError, match=r"\$\{env:NAME\}"):
        secrets().resolve("${input:key}")


def test_a_resolved_secret_is_masked_however_it_is_written() -> None:
    known = secrets()
    known.resolve("${env:TOKEN}")
    for written in (VALUE, quote(VALUE, safe=""), json.dumps(VALUE), repr(VALUE)):
        assert "s3cret" not in known.mask(f"a {written} b")
    assert known.mask(f"<{VALUE}>") == f"<{MASK}>"
    assert "s3cret" not in repr(known)


def test_masking_reaches_into_json() -> None:
    known = secrets()
    known.resolve("${env:TOKEN}")
    assert known.mask_all({"a": [VALUE, 1, None, {"b": f"x{VALUE}"}]}) == {
        "a": [MASK, 1, None, {"b": f"x{MASK}"}]
    }


def test_a_secret_that_begins_another_one_leaves_nothing_of_it() -> None:
    known = Secrets({})
    known.hide("token")
    known.hide("token-and-more")
    assert known.mask("token-and-more") == MASK


def test_a_very_short_value_does_not_blank_out_ordinary_words() -> None:
    known = secrets()
    known.resolve("${env:SHORT}")
    assert known.mask("about") == "about"


def test_without_the_keyring_package_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ConfigError, match=r"install komorebi-mcp\[keyring\]"):
        secrets().resolve("${keyring:service/me}")


def test_the_keyring_is_asked_for_service_and_user(monkeypatch: pytest.MonkeyPatch) -> None:
    class KeyringError(Exception):
        pass

    def get_password(service: str, user: str) -> str | None:
        if service == "locked":
            raise KeyringError
        return {("service", "me/too"): VALUE}.get((service, user))

    # The real one would ask the desktop of whoever runs the tests.
    stand_in = SimpleNamespace(get_password=get_password, errors=SimpleNamespace(KeyringError=KeyringError))
    monkeypatch.setitem(sys.modules, "keyring", stand_in)
    known = secrets()
    assert known.resolve("keyring://service/me/too") == VALUE
    assert known.mask(VALUE) == MASK
    with pytest.raises(ConfigError, match="keyring set service nobody"):
        known.resolve("${keyring:service/nobody}")
    with pytest.raises(ConfigError, match="Unlock it"):
        known.resolve("${keyring:locked/me}")
