"""The documents say what the code says."""

from __future__ import annotations

import pytest

from tests.harness import documents


@pytest.mark.parametrize("name", documents.FILES)
def test_generated_parts_are_current(name: str) -> None:
    text = (documents.ROOT / name).read_text()
    assert "<!-- generated: " in text
    assert documents.render(text) == text, "run: python -m tests.harness.documents"


def test_every_block_is_shown_somewhere() -> None:
    texts = "".join((documents.ROOT / name).read_text() for name in documents.FILES)
    assert all(f"<!-- generated: {block} -->" in texts for block in documents.BLOCKS)
