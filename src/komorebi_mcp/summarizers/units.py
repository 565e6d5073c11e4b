"""Units and scales as people write them behind a number."""

import re

UNITS = {
    unit: sort
    for sort, units in {
        "millisecond": "ms millisecond milliseconds", "second": "s sec secs second seconds",
        "minute": "min mins minute minutes", "hour": "h hr hrs hour hours", "day": "day days",
        "week": "week weeks", "month": "month months", "year": "year years",
        "percent": "% percent", "thousand": "k thousand", "million": "m million mio", "billion": "bn billion",
        "byte": "byte bytes", "kilobyte": "kb kib", "megabyte": "mb mib", "gigabyte": "gb gib",
        "terabyte": "tb tib", "dollar": "dollar dollars usd", "euro": "euro euros eur",
        "pound": "pound pounds gbp", "metre": "metre metres meter meters",
        "kilometre": "km kilometre kilometres",
        "gram": "g gram grams", "kilogram": "kg kilogram kilograms",
    }.items()
    for unit in units.split()
}  # fmt: skip
"""What each measures, by its spelling in lower case."""
_SCALED = re.compile(r"([$\u20ac\u00a3]?\d[\d,]*(?:\.\d+)?)([A-Za-z]{1,3})")


def apart(text: str) -> str:
    """The text with a space between a number and what is written onto it: 512 MB for 512MB."""
    return _SCALED.sub(r"\1 \2", text)
