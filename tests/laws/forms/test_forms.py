from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.forms import FORMS, form_named

HERE = Path(__file__).parent
SUITE = runpy.run_path(str(HERE / "conformance.py"))
EXAMPLES = runpy.run_path(str(HERE / "examples.py"))["EXAMPLES"]
PROMISES = sorted(name for name in SUITE if name.startswith("assert_") and "says" not in name)


def test_every_form_has_an_example() -> None:
    assert set(EXAMPLES) == set(FORMS), "add the form to tests/laws/forms/examples.py"


@pytest.mark.parametrize("promise", PROMISES)
@pytest.mark.parametrize("name", FORMS)
def test_conformance(name: str, promise: str) -> None:
    SUITE[promise](EXAMPLES[name])


@pytest.mark.parametrize("name", FORMS)
def test_a_form_says_what_it_is(name: str) -> None:
    SUITE["assert_says_what_it_is"](FORMS[name])


def test_an_unknown_form_is_refused_with_the_names() -> None:
    with pytest.raises(WindtunnelError, match="no 'hoffmann'; choose auto or one of chinchilla"):
        form_named("hoffmann")


def test_the_page_of_forms_lists_them_all() -> None:
    page = (HERE.parents[2] / "docs/laws_forms.md").read_text(encoding="utf-8")
    table = page[page.index("| form |") :].split("\n\n")[0].split("\n")[2:]
    assert sorted(line.split("`")[1] for line in table) == sorted(FORMS)
