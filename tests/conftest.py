"""Logs as the product writes them, and how hard Hypothesis tries where little time is given."""

from hypothesis import settings

from support.logs import log_plainly

log_plainly()
settings.register_profile("fast", max_examples=15)
