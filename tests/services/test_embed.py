"""Search by meaning in the whole application, with a tiny model."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from komorebi_mcp.app import App, open_app
from komorebi_mcp.domain.captures import CaptureCreate, CaptureFilter, CaptureUpdate
from komorebi_mcp.domain.search import Hit
from komorebi_mcp.domain.vectors import Coverage
from komorebi_mcp.settings import Settings
from support.databases import put_sqlite_file
from support.models import WORDS, make_model

pytestmark = pytest.mark.slow

OWNER = "local"
TEXTS = ("The vehicle is in the yard.", "Pudding for everybody.", "The physician called.", "Mend the roof.")


def _settings(home: Path, model: Path | None = None) -> Settings:
    put_sqlite_file(home / "komorebi.db")
    return Settings(home=home, semantic_model=str(model or ""))


async def _until(app: App, read: int) -> None:
    """Returns once the model has read so many captures, which is all there are."""
    assert app.meaning is not None
    with anyio.fail_after(10):
        while True:
            if app.meaning.model is not None:
                async with app.store.look() as queue:
                    if await queue.coverage(app.meaning.model) == Coverage(read=read, indexed=read):
                        return
            await anyio.lowlevel.checkpoint()


async def _capture(app: App, *texts: str) -> list[str]:
    return [(await app.capture.capture(OWNER, CaptureCreate(content=text))).id for text in texts]


async def _hits(app: App, query: str) -> list[Hit]:
    return list((await app.find.search(OWNER, query, CaptureFilter())).hits)


async def _settled(app: App) -> None:
    with anyio.fail_after(10):
        while True:
            async with app.store.look() as queue:
                if (await queue.backlog()).waiting == 0:
                    return
            await anyio.lowlevel.checkpoint()


async def test_what_is_captured_is_found_by_words_it_does_not_hold(tmp_path: Path) -> None:
    model = make_model(tmp_path / "tiny")
    async with open_app(_settings(tmp_path, model)) as app:
        vehicle, pudding, *_ = await _capture(app, *TEXTS)
        await _until(app, 4)
        assert [hit.id for hit in await _hits(app, "car")] == [vehicle]
        assert await _hits(app, "unheard") == []
        await app.organize.update(OWNER, [vehicle], CaptureUpdate(content="A cake in the yard."))
        await _until(app, 4)
        assert await _hits(app, "automobile") == []
        assert {hit.id for hit in await _hits(app, "dessert")} == {vehicle, pudding}


async def test_what_came_without_a_model_or_with_another_one_is_read_in_the_background(
    tmp_path: Path,
) -> None:
    async with open_app(_settings(tmp_path)) as app:
        vehicle, *_ = await _capture(app, *TEXTS)
        await _settled(app)
        assert await _hits(app, "car") == []
    for words in (WORDS, [*WORDS, ("roof", "tiles")]):
        async with open_app(_settings(tmp_path, make_model(tmp_path / "tiny", words))) as app:
            await _until(app, 4)
            assert [hit.id for hit in await _hits(app, "car")] == [vehicle]
            assert bool(await _hits(app, "tiles")) is (len(words) > len(WORDS))


async def test_a_process_that_does_not_enrich_searches_with_what_others_read(tmp_path: Path) -> None:
    settings = _settings(tmp_path, make_model(tmp_path / "tiny"))
    async with open_app(settings) as app, open_app(settings, works=False) as other:
        [vehicle] = await _capture(app, TEXTS[0])
        await _until(app, 1)
        assert [hit.id for hit in await _hits(other, "car")] == [vehicle]
        [second] = await _capture(app, "An automobile, too.")
        await _until(app, 2)
        assert {hit.id for hit in await _hits(other, "car")} == {vehicle, second}


@pytest.mark.parametrize("spoil", [lambda folder: (folder / "tokenizer.json").unlink(), None])
async def test_a_model_that_cannot_be_loaded_changes_nothing_but_what_it_would_have_found(
    tmp_path: Path, spoil: Callable[[Path], None] | None
) -> None:
    async with open_app(_settings(tmp_path)) as app:
        await _capture(app, *TEXTS)
        await _settled(app)
        without = await _hits(app, "pudding yard")
        assert len(without) == 2
    folder = tmp_path / "no such folder"
    if spoil is not None:
        folder = make_model(tmp_path / "tiny")
        spoil(folder)
    async with open_app(_settings(tmp_path, folder)) as app:
        await _capture(app, "One more.")
        await _settled(app)
        assert await _hits(app, "pudding yard") == without
        assert await _hits(app, "car") == []
        assert app.meaning is not None
        assert app.meaning.failure


@pytest.mark.process
async def test_without_the_setting_nothing_of_a_model_is_imported(tmp_path: Path) -> None:
    put_sqlite_file(tmp_path / "komorebi.db")
    script = f"""
import json, sys
from pathlib import Path
import anyio
from komorebi_mcp.app import open_app
from komorebi_mcp.domain.captures import CaptureCreate, CaptureFilter
from komorebi_mcp.settings import Settings

async def main():
    async with open_app(Settings(home=Path({str(tmp_path)!r}))) as app:
        await app.capture.capture("local", CaptureCreate(content="The car."))
        assert (await app.find.search("local", "car", CaptureFilter())).hits

anyio.run(main)
print(json.dumps(sorted({{"numpy", "model2vec", "tokenizers", "huggingface_hub"}} & sys.modules.keys())))
"""
    done = await anyio.run_process([sys.executable, "-c", script])
    assert json.loads(done.stdout) == []
