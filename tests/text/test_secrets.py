import base64
import hashlib
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komorebi_mcp.text.secrets import redact

# Put together here so that no scanner takes this file for a leak.
MIXED = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0"
SECRETS = {
    "aws access key": "AKIA" + "IOSFODNN7EXBMPL2",
    "google api key": "AIza" + MIXED[:35],
    "github token": "ghp_" + MIXED[:36],
    "gitlab token": "glpat-" + MIXED[:20],
    "slack token": "xoxb-" + "123456789012-123456789012-" + MIXED[:24],
    "stripe key": "sk_live_" + MIXED[:24],
    "anthropic key": "sk-ant-" + "api03-" + MIXED + MIXED,
    "openai key": "sk-proj-" + MIXED + "T3BlbkFJ" + MIXED,
    "komorebi token": "kmr_" + MIXED + "x-_",
    "hugging face token": "hf_" + "abcdefghijklmnopqrstuvwxyzABCDEFGH",
    "npm token": "npm_" + MIXED[:36],
    "json web token": "eyJ" + MIXED[:20] + ".eyJ" + MIXED + "." + MIXED,
    "telegram token": "123456789:AA" + MIXED[:33],
}
KEY_BODY = "\n".join([MIXED + MIXED[:24]] * 12)
LOOK_ALIKES = [
    str(uuid.UUID(int=2**127 + 12345)),
    hashlib.sha256(b"x").hexdigest(),
    "9fceb02d0ae598e95dc970b74767f19372d61af8",
    base64.b64encode(bytes(range(256)) * 4).decode(),
    "data:image/png;base64," + base64.b64encode(bytes(range(200))).decode(),
    "sk-learn and sk-button-primary-large-with-icon are not keys",
    "the risk-adjusted-return-of-the-whole-portfolio-in-2026",
    "npm_config_registry and npm_lifecycle_event",
    "ghp_short glpat-x AKIA AIza eyJ hf_hub_download",
    "Authorization: Bearer <your-token>",
    "Authorization: Bearer YOUR_API_TOKEN_HERE",
    "postgresql://user@localhost:5432/db",
    "postgresql://user:${PASSWORD}@localhost/db",
    "https://example.com/a:b@c",
    "-----BEGIN PUBLIC KEY-----\n" + KEY_BODY + "\n-----END PUBLIC KEY-----",
    "-----BEGIN CERTIFICATE-----\n" + KEY_BODY + "\n-----END CERTIFICATE-----",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me@host",
    "sha512-" + base64.b64encode(hashlib.sha512(b"x").digest()).decode(),
    "secret: keep it between us, and aws_secret_access_key stays unset",
    "我们的密码很安全 🎉",
]


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("around", ["{}", "key={}", 'KEY: "{}",', "Use {} now, please."])
def test_a_secret_is_replaced_by_its_kind(kind: str, around: str) -> None:
    assert redact(around.format(SECRETS[kind])) == (around.format(f"[redacted: {kind}]"), 1)


@pytest.mark.parametrize("name", ["RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY", "EC PRIVATE KEY"])
@pytest.mark.parametrize("headers", ["", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123\n\n"])
def test_a_private_key_is_replaced_whole(name: str, headers: str) -> None:
    key = f"-----BEGIN {name}-----\n{headers}{KEY_BODY}\n-----END {name}-----"
    assert redact(f"before\n{key}\nafter") == ("before\n[redacted: private key]\nafter", 1)


def test_only_the_value_of_a_header_or_address_is_replaced() -> None:
    assert redact(f"Authorization: Bearer {MIXED}\n") == (
        "Authorization: Bearer [redacted: authorization header]\n",
        1,
    )
    assert redact("postgres://me:hunter2secret@db.internal/x") == (
        "postgres://me:[redacted: password in url]@db.internal/x",
        1,
    )
    assert (
        redact(f"aws_secret_access_key = {MIXED}")[0] == "aws_secret_access_key = [redacted: aws secret key]"
    )


def test_each_secret_is_counted() -> None:
    assert redact("\n".join(SECRETS.values()))[1] == len(SECRETS)


@pytest.mark.parametrize("text", LOOK_ALIKES)
def test_what_only_looks_like_a_secret_stays(text: str) -> None:
    assert redact(text) == (text, 0)


@given(st.text(max_size=300))
def test_text_without_a_secret_comes_back_as_it_was(text: str) -> None:
    assert redact(text) == (text, 0)


def test_a_redacted_text_holds_nothing_more_to_redact() -> None:
    once, _ = redact("\n".join(SECRETS.values()))
    assert redact(once) == (once, 0)
