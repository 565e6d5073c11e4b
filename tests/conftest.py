"""Logs as the product writes them."""

from support.logs import log_plainly

log_plainly()
