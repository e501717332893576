"""`python -m tests.make_docs` writes what docs/data-model.md shows of the code: its tables and its states. A test compares."""

import re
from pathlib import Path

from exchange.records import TABLES, Record
from exchange.store.tables import columns_of
from exchange.transfer.states import picture

PAGE = Path(__file__).parents[1] / "docs" / "data-model.md"


def row(record: type[Record]) -> str:
    """One record type: its first sentence and its columns by protection; the key first, unique sets last."""
    meta = record.META
    words = (record.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " ")
    words = "" if words.startswith(f"{record.__name__}(") else words.split(". ")[0].rstrip(".")
    by: dict[str, list[str]] = {"sealed": [], "indexed": [], "plain": []}
    for column in columns_of(record).values():
        by.get(column.kind, by["plain"]).append(f"`{column.name}`")
    sealed = ", ".join(by["sealed"]) + (f" (key of the {meta.owner[0]})" if by["sealed"] else "")
    unique = "; unique: " + "; ".join(" + ".join(names) for names in meta.unique) if meta.unique else ""
    return f"| `{meta.table}` | {words} | {sealed} | {', '.join(by['indexed'])} | {', '.join(by['plain'])}{unique} |"


def tables() -> str:
    return "\n".join(["| table | one row is | sealed | index | plain, the key first |", "|---|---|---|---|---|", *map(row, TABLES)])


def filled(page: str) -> str:
    """The page with both regions as the code says. ValueError when it does not have each region once."""
    for name, text in (("tables", tables()), ("states", picture())):
        region = re.compile(rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)", re.DOTALL)
        page, count = region.subn(lambda m, t=text: f"{m[1]}\n{t}\n\n{m[2]}", page)
        if count != 1:
            raise ValueError(f"the page has {count} regions named {name}")
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
