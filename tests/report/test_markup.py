from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from windtunnel.report.markup import Markup, tag

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, name, attributes):
        self.tags.append((name, dict(attributes)))

    def handle_data(self, text):
        self.text += text


@given(TEXT, TEXT)
def test_a_browser_reads_back_exactly_what_was_written(text, attribute):
    reader = Reader()
    reader.feed(tag("p", text, tag("b", text), title=attribute))
    reader.close()
    assert reader.tags == [("p", {"title": attribute}), ("b", {})]
    assert reader.text == text + text


def test_only_markup_stays_as_it_is():
    assert tag("p", "<i>", Markup("<i>x</i>")) == "<p>&lt;i&gt;<i>x</i></p>"
    assert tag("meta", http_equiv="a", class_="b") == '<meta http-equiv="a" class="b">'
