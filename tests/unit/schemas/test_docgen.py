"""The pages of the kinds are those that the models say."""

from schemas import docgen


def test_committed_pages_are_what_the_models_generate():
    committed = {p.name: p.read_text(encoding="utf-8") for p in docgen.FOLDER.glob("*.md")}
    assert committed == docgen.rendered()


def test_a_page_is_text_without_control_characters():
    for name, text in docgen.rendered().items():
        assert all(char.isprintable() or char == "\n" for char in text), name
