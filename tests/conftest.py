"""Logs as the product writes them, and how the tests are kept quick."""

import gc

import pytest
from hypothesis import settings

from support.logs import log_plainly

log_plainly()
settings.register_profile("fast", max_examples=10)

# What the imports leave stays to the end: the collector need not walk it for every few hundred new objects.
gc.disable()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()
