"""Links in the documentation lead somewhere."""

from pathlib import Path

import pytest

from support.documents import ROOT, anchors, documents, links


@pytest.mark.parametrize("page", documents(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_into_the_repository_leads_somewhere(page: Path) -> None:
    for link in links(page):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        target, _, fragment = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{link} leads nowhere"
        assert file.is_relative_to(ROOT), f"{link} leaves the repository"
        assert not fragment or fragment in anchors(file), f"{link} names a heading that is not there"
