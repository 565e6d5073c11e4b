"""Secrets that must not be stored: keys and tokens whose form leaves no doubt.

A guess would alter what a person wrote, so entropy is never a reason; each form is one its issuer documents.
"""

import re
from functools import partial

_PEM = re.compile(
    r"-----BEGIN (?P<name>(?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?)-----"
    r"(?:[^-]|-(?!----)){40,16000}(?:-----END (?P=name)-----|\Z)"
)
_B = r"(?<![A-Za-z0-9_\-])"
"""Not in the middle of a longer word, such as a base64 text."""
_E = r"(?![A-Za-z0-9_\-])"

_FORMS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("aws access key", ("AKIA", "ASIA"), rf"{_B}(?:AKIA|ASIA)[A-Z2-7]{{16}}{_E}"),
    (
        "aws secret key",
        ("secret",),
        (
            r"(?i:aws_?secret_?(?:access_?)?key|secretaccesskey)[\"']?\s{0,8}[:=]\s{0,8}[\"']?"
            r"(?P<aws>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])"
        ),
    ),
    ("google api key", ("AIza",), rf"{_B}AIza[A-Za-z0-9_\-]{{35}}{_E}"),
    ("google oauth secret", ("GOCSPX-",), rf"{_B}GOCSPX-[A-Za-z0-9_\-]{{28}}{_E}"),
    ("google oauth token", ("ya29.",), rf"{_B}ya29\.[A-Za-z0-9_\-]{{30,2000}}"),
    ("github token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), rf"{_B}gh[pousr]_[A-Za-z0-9]{{36,255}}{_E}"),
    ("github token", ("github_pat_",), rf"{_B}github_pat_[A-Za-z0-9]{{22}}_[A-Za-z0-9]{{59}}{_E}"),
    (
        "gitlab token",
        ("glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glsoat-", "glft-", "glagent-"),
        rf"{_B}gl(?:pat|dt|rt|cbt|ptt|soat|ft|agent)-[A-Za-z0-9_\-]{{20,300}}{_E}",
    ),
    ("slack token", ("xox",), rf"{_B}xox[abeoprs]-(?:[0-9]{{1,4}}-)?[0-9]{{8,14}}-[A-Za-z0-9\-]{{16,250}}"),
    ("slack token", ("xapp-",), rf"{_B}xapp-[0-9]-[A-Z0-9]{{8,14}}-[0-9]{{8,14}}-[a-f0-9]{{64}}{_E}"),
    (
        "slack webhook",
        ("hooks.slack.com",),
        r"https://hooks\.slack\.com/services/T[A-Z0-9]{8,12}/B[A-Z0-9]{8,12}/[A-Za-z0-9]{24}",
    ),
    ("stripe key", ("k_live_", "k_test_"), rf"{_B}(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{{20,250}}{_E}"),
    ("stripe webhook secret", ("whsec_",), rf"{_B}whsec_[A-Za-z0-9+/]{{32,64}}={{0,2}}"),
    ("anthropic key", ("sk-ant-",), rf"{_B}sk-ant-[a-z0-9]{{3,10}}-[A-Za-z0-9_\-]{{60,200}}"),
    (
        "openai key",
        ("sk-",),
        (
            rf"{_B}sk-(?:(?:proj|svcacct|admin|None)-)?[A-Za-z0-9_\-]{{20,200}}T3BlbkFJ[A-Za-z0-9_\-]{{20,200}}"
            rf"|{_B}sk-(?:proj|svcacct|admin)-[A-Za-z0-9_\-]{{40,300}}|{_B}sk-[A-Za-z0-9]{{48}}{_E}"
        ),
    ),
    ("komorebi token", ("kmr_",), rf"{_B}kmr_[A-Za-z0-9_\-]{{43}}{_E}"),
    ("hugging face token", ("hf_",), rf"{_B}hf_[A-Za-z]{{34}}{_E}"),
    ("npm token", ("npm_",), rf"{_B}npm_[A-Za-z0-9]{{36}}{_E}"),
    ("pypi token", ("pypi-AgEI",), rf"{_B}pypi-AgEI[A-Za-z0-9_\-]{{50,500}}"),
    ("sendgrid key", ("SG.",), rf"{_B}SG\.[A-Za-z0-9_\-]{{22}}\.[A-Za-z0-9_\-]{{43}}{_E}"),
    ("digitalocean token", ("_v1_",), rf"{_B}do[opr]_v1_[a-f0-9]{{64}}{_E}"),
    ("telegram token", (":AA",), rf"{_B}[0-9]{{8,10}}:AA[A-Za-z0-9_\-]{{33}}{_E}"),
    (
        "json web token",
        ("eyJ",),
        rf"{_B}eyJ[A-Za-z0-9_\-]{{10,4000}}\.eyJ[A-Za-z0-9_\-]{{10,8000}}\.[A-Za-z0-9_\-]{{16,2000}}",
    ),
    (
        "authorization header",
        ("authorization",),
        (
            r"(?i:authorization)[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?i:bearer|basic|token)\s{1,4}"
            r"(?P<authorization>[A-Za-z0-9._~+/\-]{16,4000}={0,2})"
        ),
    ),
    (
        "password in url",
        ("://",),
        r"(?<![A-Za-z0-9])[a-z][a-z0-9+]{1,20}://[A-Za-z0-9._%\-]{1,64}:(?P<url>[^\s:/@\"'<>$\{\}\[\]]{3,128})@(?=[A-Za-z0-9\[])",
    ),
)
"""Of each kind of secret what it is called, its marks, of which it has one at least, and its form."""

_PATTERNS = tuple(
    (kind, tuple(map(str.lower, marks)), re.compile(pattern)) for kind, marks, pattern in _FORMS
)
_PLACEHOLDER = re.compile(r"(?i)example|your[_-]?|xxxx|placeholder|changeme|redacted|\*\*\*|password$")


def redact(content: str) -> tuple[str, int]:
    """The content with each secret replaced by `[redacted: KIND]`, and how many there were.

    Anything else, white space included, stays as it is.
    """
    found = 0

    def replace(kind: str, match: re.Match[str]) -> str:
        nonlocal found
        named = match.lastgroup
        secret = match[named] if named else match[0]
        if _is_placeholder(kind, secret):
            return match[0]
        found += 1
        if not named:
            return f"[redacted: {kind}]"
        start, end = match.start(named) - match.start(), match.end(named) - match.start()
        return f"{match[0][:start]}[redacted: {kind}]{match[0][end:]}"

    def replace_pem(_: re.Match[str]) -> str:
        nonlocal found
        found += 1
        return "[redacted: private key]"

    if "PRIVATE KEY" in content:
        content = _PEM.sub(replace_pem, content)
    # Looking for a form takes a hundred times what looking for its marks does, and few texts have any.
    lowered = content.lower()
    for kind, marks, pattern in _PATTERNS:
        for mark in marks:
            if mark in lowered:
                content = pattern.sub(partial(replace, kind), content)
                break
    return content, found


def _is_placeholder(kind: str, secret: str) -> bool:
    """Whether a document only shows where a secret goes; keys proper are never taken for that."""
    if kind in ("password in url", "authorization header"):
        return _PLACEHOLDER.search(secret) is not None or len(set(secret)) < 4
    return len(set(secret[-16:])) < 4
