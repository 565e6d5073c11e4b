"""Dates and days as people and programs write them."""

import re

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?)\.?"
)
_DAY = r"(?:3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?"
_WEEKDAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_CLOCK = r"\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?"

DATE = re.compile(
    rf"(?<![\w.\-/])(?:"
    rf"\d{{4}}-[01]\d-[0-3]\d(?:[T ]{_CLOCK}(?:Z|[+\-]\d{{2}}:?\d{{2}})?)?"
    rf"|\d{{4}}/[01]\d/[0-3]\d"
    rf"|[0-3]?\d/[0-3]?\d/\d{{4}}|[0-3]?\d\.[01]?\d\.\d{{4}}"
    rf"|{_DAY} (?:of )?{_MONTH}(?:,? \d{{4}})?"
    rf"|{_MONTH} {_DAY}(?:,? \d{{4}})?"
    rf"|{_MONTH} \d{{4}}"
    rf"|(?:next |last |this |on )?{_WEEKDAY}s?"
    r"|(?:next|last|this) (?:week|month|year|quarter|weekend)"
    r"|today|tomorrow|yesterday|tonight"
    r"|\d{4}年(?:\d{1,2}月(?:\d{1,2}日)?)?|\d{1,2}月\d{1,2}日"
    r")(?![\w])",
    re.IGNORECASE,
)
"""Matches without looking further than the date itself."""
