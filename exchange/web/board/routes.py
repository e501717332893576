"""The hospital's pages under /board: the open transfers, one transfer with its gaps, answers and timeline, and the ward's form for it."""

from collections.abc import Mapping

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from exchange.app import Exchange
from exchange.directory.links import SignedIn
from exchange.errors import Refused, WardpostError
from exchange.model import Caller, PersonRole
from exchange.transfer.candidates import Pick, at_postcode
from exchange.web.board.holds import holds_page
from exchange.web.board.pick import pick_page
from exchange.web.board.transfer import transfer_page
from exchange.web.board.view import board_view, friday_view, row_of
from exchange.web.board.ward import known_before, ward_page
from exchange.web.board.ward_form import first_field, read_fields
from exchange.web.errors import status_of
from exchange.web.session import HEADERS, Pages

# Every field of a Supplement of an odd person, each letter of a script of four bytes written as %XX.
MAX_WARD_FORM_BYTES, MOST_WARD_FIELDS = 1_048_576, 2_000


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

    @router.get("/board/friday")
    @pages.hospital
    def friday(request: Request, who: SignedIn) -> Response:
        standings = exchange.open_standings(who.person.org)
        view = friday_view(standings, exchange.store.read(lambda uow: uow.now))
        return pages.html("friday.html", frame=pages.frame(request, who), view=view)

    def show_holds(request: Request, who: SignedIn, problem: WardpostError | None = None) -> Response:
        now = exchange.store.read(lambda uow: uow.now)
        view = holds_page(exchange.holds_json(who.person.org), who.person.role is not PersonRole.AUDITOR, problem, now)
        return pages.html("holds.html", status_of(problem)[0] if problem else 200, frame=pages.frame(request, who), view=view)

    @router.get("/board/holds")
    @pages.hospital
    def list_holds(request: Request, who: SignedIn) -> Response:
        return show_holds(request, who)

    @router.post("/board/holds")
    async def settle(request: Request) -> Response:
        posted = await pages.form(request)

        @pages.hospital
        def act(request: Request, who: SignedIn) -> Response:
            form = pages.checked(request, posted)
            hold, act, value = (str(form.get(name, "")) for name in ("hold", "act", "value"))
            try:
                exchange.settle_hold(hold, act, who.person.id, value, who.person.org)
            except WardpostError as problem:
                return show_holds(request, who, problem)
            return RedirectResponse("/board/holds", 303, HEADERS)

        return act(request)

    @router.get("/board/{transfer}")
    @pages.hospital
    def one(request: Request, who: SignedIn, transfer: str) -> Response:
        found, names = exchange.view_standing(Caller(who.person.org, person=who.person.id), transfer)
        now = exchange.store.read(lambda uow: uow.now)
        return pages.html("board_transfer.html", frame=pages.frame(request, who), view=transfer_page(found, names, now))

    def show_form(request: Request, who: SignedIn, transfer: str, template: str = "ward.html", **more: object) -> Response:
        found, _ = exchange.view_standing(Caller(who.person.org, person=who.person.id), transfer)
        if who.person.role is PersonRole.AUDITOR:
            raise Refused("scope", "An auditor reads and states nothing.", next_step="Ask the ward to fill this in.")
        if found.is_back:
            raise Refused("transfer_withdrawn", "This was taken back: there is nothing to fill in.", next_step="Go back to the board.")
        now = exchange.store.read(lambda uow: uow.now)
        view = ward_page(row_of(found, now), exchange.look_again(transfer), now, **more)  # type: ignore[arg-type]  # members by name
        return pages.html(template, 422 if view.errors else 200, frame=pages.frame(request, who), view=view)

    def show_pick(
        request: Request, who: SignedIn, transfer: str, typed: Mapping[str, str], problem: WardpostError | None = None
    ) -> Response:
        caller = Caller(who.person.org, person=who.person.id)
        found, _ = exchange.view_standing(caller, transfer)
        now = exchange.store.read(lambda uow: uow.now)
        near = exchange.store.read(lambda uow: at_postcode(uow, typed.get("postcode", "")))
        own = found.transfer.proposed_by == who.person.id
        view = pick_page(
            row_of(found, now), exchange.candidates(caller, transfer), near, found.transfer.proposed_site, own, typed, problem, now
        )
        return pages.html("pick.html", status_of(problem)[0] if problem else 200, frame=pages.frame(request, who), view=view)

    @router.get("/board/{transfer}/home")
    @pages.hospital
    def which_home(request: Request, who: SignedIn, transfer: str) -> Response:
        return show_pick(request, who, transfer, {})

    @router.post("/board/{transfer}/home")
    async def pick(request: Request, transfer: str) -> Response:
        posted = await pages.form(request)

        @pages.hospital
        def keep(request: Request, who: SignedIn) -> Response:
            form = pages.checked(request, posted)
            typed = {name: str(form.get(name, "")) for name in ("site", "postcode", "spoke_to")}
            if "search" in form or not typed["site"]:
                return show_pick(request, who, transfer, typed)
            try:
                pick = Pick(typed["postcode"], typed["spoke_to"])
                found = exchange.confirm_site(transfer, typed["site"], who.person.id, who.person.org, pick)
            except WardpostError as problem:
                return show_pick(request, who, transfer, typed, problem)
            exchange.woken()
            return RedirectResponse(f"/board/{found.id}" + ("/home" if found.proposed_site else ""), 303, HEADERS)

        return keep(request)

    @router.get("/board/{transfer}/ward")
    @pages.hospital
    def ward(request: Request, who: SignedIn, transfer: str) -> Response:
        return show_form(request, who, transfer)

    @router.get("/board/{transfer}/ward/kept")
    @pages.hospital
    def kept(request: Request, who: SignedIn, transfer: str) -> Response:
        return show_form(request, who, transfer, "ward_kept.html")

    @router.post("/board/{transfer}/ward")
    async def state(request: Request, transfer: str) -> Response:
        posted = await pages.form(request, MAX_WARD_FORM_BYTES, MOST_WARD_FIELDS)

        @pages.hospital
        def keep(request: Request, who: SignedIn) -> Response:
            form = pages.checked(request, posted)
            typed = {name: str(value) for name, value in form.items() if name not in ("csrf", "base", "more")}
            if more := str(form.get("more", "")):
                return show_form(request, who, transfer, typed=typed, more=more)
            page = show_form(request, who, transfer, typed=typed)  # whose transfer it is, and whether it still asks
            look = exchange.look_again(transfer)
            newest = look.supplements[-1].id if look.supplements else ""
            before, current = (known_before(look, base) for base in (str(form.get("base", "")), newest))
            filled = read_fields(typed, before, who.person.name.text())
            # Sent twice: the second says nothing new. Said by another meanwhile: this person looks at it once more.
            new = {name: value for name, value in filled.content.items() if value != current.get(name)}
            errors = {
                first_field(typed, name): "Somebody answered this while you wrote. If yours is right, send again"
                for name in new if before.get(name) != current.get(name)
            } or filled.errors  # fmt: skip
            if errors:
                return show_form(request, who, transfer, typed=typed, errors=errors)
            if new:
                exchange.add_supplement(transfer, who.person.id, new, who.person.org)
                exchange.woken()
            return RedirectResponse(f"/board/{transfer}/ward/kept", 303, HEADERS) if page.status_code == 200 else page

        return keep(request)

    return router
