"""Tables of the command line: whole in a wide window, paragraphs in a narrow one, nothing left out in either."""

import pytest

from exchange.cli.door import show

ROWS = [("12845dd3-84bb-4bad-ad1b-63a0053e9fc0", "Rob [bold]Manager-Test", "one\ntwo", ""), ("2", "Ama", "three", "x" * 30)]


@pytest.mark.parametrize(("width", "is_table"), [("200", True), ("60", False), ("20", False)])
def test_every_cell_is_shown(width: str, is_table: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", width)
    show("People", ("id", "name", "notes", ""), ROWS, "Nobody.")
    shown = capsys.readouterr().out
    assert ("┃" in shown) is is_table
    together = "".join(shown.split())
    for cell in (cell for row in ROWS for line in row for cell in line.split("\n")):
        assert "".join(cell.split()) in together
    if not is_table:
        assert "name:" in shown


def test_an_empty_list_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    show("People", ("id",), [], "Nobody.")
    assert capsys.readouterr().out == "Nobody.\n"
