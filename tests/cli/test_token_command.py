"""`komorebi-mcp token`: made, listed and revoked from the command line."""

import json
from functools import partial

import pytest

from support.commands import Komorebi

pytestmark = pytest.mark.slow


@pytest.fixture
def token(komorebi: Komorebi) -> Komorebi:
    return partial(komorebi, "token")


def test_a_token_is_shown_once_and_then_only_told_of(token: Komorebi) -> None:
    status, out, err = token("new", "--owner", "alice", "--scopes", "read,write", "--expires", "90d")
    assert status == 0
    secret = out.strip()
    assert secret.startswith("kmr_")
    assert "alice" in err
    assert "not shown again" in err
    _, listed, _ = token("list")
    assert "alice" in listed
    assert "read,write" in listed
    assert secret not in listed
    _, out, _ = token("list", "--json")
    (row,) = json.loads(out)["tokens"]
    assert row["scopes"] == ["read", "write"]
    assert row["expires_at"] > row["created_at"]


def test_a_token_is_given_as_json_and_revoked_by_its_id(token: Komorebi) -> None:
    _, out, _ = token("new", "--owner", "bob", "--scopes", "upstream", "--json")
    made = json.loads(out)
    assert made["token"].startswith("kmr_")
    status, out, _ = token("revoke", made["id"])
    assert (status, made["token"] in out) == (0, False)
    _, listed, _ = token("list")
    assert "revoked" in listed
    status, _, err = token("revoke", "nothing")
    assert status == 1
    assert "token list" in err


@pytest.mark.parametrize(
    "wrong",
    [
        ("new",),
        ("new", "--owner", "a", "--scopes", "all"),
        ("new", "--owner", "a", "--scopes", ","),
        ("new", "--owner", "a", "--expires", "soon"),
        ("new", "--owner", "a", "--expires", "-1d"),
    ],
)
def test_wrong_words_end_with_status_2(token: Komorebi, wrong: tuple[str, ...]) -> None:
    status, out, err = token(*wrong)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
