"""The hospital's pages under /board: the open transfers, and one transfer with its gaps, answers and timeline."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from exchange.app import Exchange
from exchange.directory.links import SignedIn
from exchange.model import Caller
from exchange.web.board.transfer import transfer_page
from exchange.web.board.view import board_view
from exchange.web.session import Pages


def board_router(exchange: Exchange, pages: Pages) -> APIRouter:
    router = APIRouter()

    @router.get("/board")
    @pages.hospital
    def board(request: Request, who: SignedIn) -> Response:
        asked = request.query_params
        number = asked.get("page", "1")
        standings = exchange.open_standings(who.person.org)
        now = exchange.store.read(lambda uow: uow.now)
        page = int(number) if number.isascii() and number.isdecimal() and len(number) < 6 else 1
        view = board_view(standings, now, shown=asked.get("show", ""), owner=asked.get("owner", ""), page=page)
        return pages.html("board.html", frame=pages.frame(request, who), view=view)

    @router.get("/board/{transfer}")
    @pages.hospital
    def one(request: Request, who: SignedIn, transfer: str) -> Response:
        found, names = exchange.view_standing(Caller(who.person.org, person=who.person.id), transfer)
        now = exchange.store.read(lambda uow: uow.now)
        return pages.html("board_transfer.html", frame=pages.frame(request, who), view=transfer_page(found, names, now))

    return router
