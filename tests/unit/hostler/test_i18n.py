"""Errors are worded in the reader's language where a catalog has them."""

from __future__ import annotations

import pytest

from hostler import errors, i18n


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {errors.NotFound.template: "找不到{resource} {id}。"}
    monkeypatch.setattr(i18n, "lookup", lambda languages: lambda text: (
        known.get(text, text) if "zh_CN" in languages else text))


@pytest.mark.usefixtures("chinese")
def test_a_known_template_is_translated_with_its_fields() -> None:
    error = i18n.in_language(errors.NotFound(resource="server", id="42"), "zh-CN,en;q=0.5")
    assert isinstance(error, errors.NotFound)
    assert str(error) == "找不到server 42。"


@pytest.mark.usefixtures("chinese")
@pytest.mark.parametrize("language", [None, "", "en", "*", "de", "zh-CN;q=nonsense", "en-GB,zh-CN;q=0.5"])
def test_other_readers_get_it_as_it_is(language: str | None) -> None:
    error = errors.NotFound(resource="server", id="42")
    assert i18n.in_language(error, language) is error


@pytest.mark.usefixtures("chinese")
def test_a_text_of_its_own_stays() -> None:
    error = errors.NotFound("Instance 42 could not be found.", resource="server", id="42")
    assert i18n.in_language(error, "zh-CN") is error
