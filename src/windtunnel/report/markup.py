"""HTML built from the inside out, so that nothing reaches a page unescaped by accident."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_VOID = frozenset({"meta"})


class Markup(str):
    """Text that already is HTML; any other string is escaped where it meets one."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str) -> Markup:
    """An element; plain strings among its children and all attribute values are escaped.

    Args:
        name: The element's name.
        children: Its content: plain text, or `Markup`.
        attributes: Its attributes; `class_` stands for `class` and `_` for `-`.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
    )
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{joined(children)}</{name}>")


def joined(children: Iterable[str]) -> Markup:
    """Children one after the other, plain strings escaped."""
    return Markup("".join(c if isinstance(c, Markup) else escape(c, quote=False) for c in children))
