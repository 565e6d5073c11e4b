"""The application: everything is opened here, once, and closed in reverse.

It is entered outside the transports, since the SDK enters a server's lifespan once per connection.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import tzinfo
from functools import partial
from importlib.metadata import version

import anyio

from komorebi_mcp.background.upkeep import Upkeep
from komorebi_mcp.background.worker import Worker
from komorebi_mcp.domain.clock import Clock, utc_now
from komorebi_mcp.semantic.meaning import Meaning
from komorebi_mcp.services.access import Access
from komorebi_mcp.services.aggregate import Aggregate
from komorebi_mcp.services.authentication import Authenticator
from komorebi_mcp.services.capture import CaptureService
from komorebi_mcp.services.compact import Compact
from komorebi_mcp.services.complete import Complete
from komorebi_mcp.services.embed import Embed
from komorebi_mcp.services.enrich import enrich
from komorebi_mcp.services.events import Events
from komorebi_mcp.services.find import Find
from komorebi_mcp.services.importing import Importer
from komorebi_mcp.services.issuer import Issuer
from komorebi_mcp.services.limits import Amounts, Limits
from komorebi_mcp.services.organize import Organize
from komorebi_mcp.services.passages import Passages
from komorebi_mcp.services.results import Results
from komorebi_mcp.services.resume import Resuming
from komorebi_mcp.services.rewriting import Allowance, Rewriting
from komorebi_mcp.services.summarize import Summarize
from komorebi_mcp.services.tasks import Tasks
from komorebi_mcp.services.trust import Trust
from komorebi_mcp.services.watch import Watch
from komorebi_mcp.settings import Settings, environment, local_zone
from komorebi_mcp.storage.store import Store, open_store
from komorebi_mcp.summarizers.openai import open_endpoint
from komorebi_mcp.summarizers.writer import Writer
from komorebi_mcp.upstream.config import load_upstreams
from komorebi_mcp.upstream.pool import open_upstreams


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """What the surface and the command line work with."""

    settings: Settings
    version: str
    clock: Clock
    zone: Callable[[], tzinfo]
    """In which days begin and end."""
    store: Store
    events: Events
    watch: Watch
    capture: CaptureService
    find: Find
    meaning: Meaning | None
    """None where no model is wanted."""
    complete: Complete
    organize: Organize
    summarize: Summarize
    resume: Resuming
    aggregate: Aggregate
    trust: Trust
    results: Results
    passages: Passages
    importer: Importer
    authenticator: Authenticator
    limits: Limits
    tasks: Tasks
    start_enriching: Callable[[], object]
    """Needed only where the application was opened without."""
    start_listening: Callable[[], object]
    """Has `events` tell of what other processes change, where the database can; what works listens anyway."""


@asynccontextmanager
async def open_app(
    settings: Settings,
    *,
    works: bool = True,
    clock: Clock = utc_now,
    zone: Callable[[], tzinfo] = local_zone,
) -> AsyncIterator[App]:
    """The application, with its database migrated and, where it `works`, its background work under way.

    One that is closed again at once, for a short command, does better without: what it began would only have
    to be given back. So does one that stores much, until it calls `start_enriching`.

    Raises:
        StorageError: The database cannot be opened.
        ConfigError: A setting is wrong. A wrong upstream is not an error: it is reported and left out.
    """
    events = Events()
    load = partial(load_upstreams, settings.upstreams, environment=environment())
    async with (
        open_store(settings.database_url, clock=clock, announce=events.publish) as store,
        _open_writer(settings) as writer,
        anyio.create_task_group() as background,
        open_upstreams(load(), keeper=(trust := Trust(store, clock=clock))) as upstreams,
    ):
        meaning = Meaning(settings.semantic_model) if settings.semantic_model else None
        watch = Watch(store, announce=events.publish)
        worker = _worker(settings, store, clock=clock, writer=writer, meaning=meaning)
        upkeep = Upkeep(store, worker, clock=clock, events=events, meaning=meaning, watch=watch)
        if works:
            upkeep.start_enriching()
        access = Access(store, clock=clock)
        capture = CaptureService(store, secrets=settings.secrets)
        passages = Passages(store, capture, secrets=settings.secrets)
        summarize = Summarize(store, summarizer=settings.summarizer, endpoint=writer)
        tasks = Tasks(store, background)
        for run in (access.run, capture.run, upkeep.run, tasks.run):
            background.start_soon(run)
        yield App(
            settings=settings,
            version=version("komorebi-mcp"),
            clock=clock,
            zone=zone,
            store=store,
            events=events,
            watch=watch,
            capture=capture,
            find=Find(store, clock=clock, zone=zone, read=meaning.read if meaning else None),
            meaning=meaning,
            complete=Complete(store),
            organize=Organize(store, secrets=settings.secrets),
            summarize=summarize,
            aggregate=Aggregate(upstreams, load, expose=settings.expose),
            results=Results(passages, summarize),
            trust=trust,
            resume=Resuming(store, clock=clock),
            passages=passages,
            importer=Importer(store, secrets=settings.secrets),
            authenticator=_authenticator(settings, access),
            limits=Limits(store, _amounts(settings)),
            tasks=tasks,
            start_enriching=upkeep.start_enriching,
            start_listening=upkeep.start_listening,
        )
        background.cancel_scope.cancel()


def _worker(
    settings: Settings, store: Store, *, clock: Clock, writer: Writer | None, meaning: Meaning | None
) -> Worker:
    rewriting = Rewriting(store, writer, Allowance(settings.model_calls, clock)) if writer else None
    compact = Compact(store, rewriting=rewriting)
    embed = Embed(store, meaning) if meaning else None

    async def keep_up() -> bool:
        """A small step of what follows enrichment."""
        return (embed is not None and await embed.step()) or await compact.step()

    return Worker(
        store,
        partial(enrich, read=meaning.read_now) if meaning else enrich,
        clock=clock,
        compact=keep_up,
        compact_apart=rewriting is not None,
    )


@asynccontextmanager
async def _open_writer(settings: Settings) -> AsyncIterator[Writer | None]:
    """The model of the endpoint in the settings; None where none is wanted, or none is named."""
    wanted = settings.summarizer in ("openai", "auto") and settings.openai_base_url and settings.model
    if not wanted:
        yield None
        return
    key = settings.openai_api_key.get_secret_value()
    async with open_endpoint(settings.openai_base_url, settings.model, key or None) as endpoint:
        yield Writer(f"openai:{settings.model}", endpoint.complete, settings.model_context)


def _amounts(settings: Settings) -> Amounts:
    return Amounts(
        requests=settings.limit_requests,
        captures=settings.limit_captures,
        upstream_calls=settings.limit_upstream_calls,
        store_mb=settings.limit_store_mb,
    )


def _authenticator(settings: Settings, access: Access) -> Authenticator:
    issuer = None
    if settings.auth_issuer:
        issuer = Issuer(
            settings.auth_issuer, audience=settings.auth_audience, jwks_url=settings.auth_jwks_url
        )
    return Authenticator(access, mode=settings.auth, issuer=issuer)
