"""The home's pages over HTTP: links, sessions, forms. The clock is the test's."""

import re
import threading
from pathlib import Path
from urllib.parse import quote

import pytest

from exchange.directory.entries import deactivate_person
from exchange.records import Answer, Link, Session
from tests.e2e.api_kit import Api, api


def sign_in(found: Api, person: str) -> dict[str, str]:
    answer = found.http.post(found.link(person))
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    found.http.cookies.clear()
    return {"cookie": cookie.split(";")[0]}


def rows(found: Api, kind: type) -> list:  # type: ignore[type-arg]
    return found.kit.exchange.store.read(lambda uow: uow.find(kind))


def test_looking_at_a_link_changes_nothing(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        path = found.link(found.kit.carer)
        for _ in range(3):
            assert found.http.get(path).status_code == 200
            assert found.http.head(path).status_code in (200, 405)
        assert rows(found, Session) == []
        assert rows(found, Link)[0].used_at is None
        assert found.http.post(path).status_code == 303


def test_forty_at_once_make_one_session(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        path, statuses = found.link(found.kit.carer), []
        threads = [threading.Thread(target=lambda: statuses.append(found.http.post(path).status_code)) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses.count(303) == 1
        assert len(statuses) == 40
        assert len(rows(found, Session)) == 1
        assert found.kit.findings() == []


def test_spent_expired_unknown_and_left_links_say_the_same(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        spent, expired, left = found.link(found.kit.carer), found.link(found.kit.carer), found.link(found.kit.manager)
        assert found.http.post(spent).status_code == 303
        found.http.cookies.clear()
        found.kit.exchange.store.write(lambda uow: deactivate_person(uow, found.kit.manager))
        answers = [found.http.post(path) for path in (spent, left, "/in/" + "x" * 43, "/in/" + quote("é\x00", safe=""))]
        found.kit.clock.forward(hours=72, seconds=1)
        answers += [found.http.post(expired), found.http.get(expired), found.http.get(spent)]
        assert {answer.status_code for answer in answers} == {422}
        assert len({answer.text for answer in answers}) == 1
        assert len(rows(found, Session)) == 1


def test_a_session_ends_by_idling_by_age_and_by_word(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        idle = sign_in(found, found.kit.carer)
        found.kit.clock.forward(minutes=29)
        assert found.http.get("/home", headers=idle).status_code == 200
        found.kit.clock.forward(minutes=29)
        assert found.http.get("/home", headers=idle).status_code == 200
        found.kit.clock.forward(minutes=30, seconds=1)
        assert found.http.get("/home", headers=idle).status_code == 401
        old = sign_in(found, found.kit.carer)
        for _ in range(28):
            found.kit.clock.forward(minutes=25)
            assert found.http.get("/home", headers=old).status_code == 200
        found.kit.clock.forward(minutes=21)
        assert found.http.get("/home", headers=old).status_code == 401
        out = sign_in(found, found.kit.carer)
        csrf = re.search(r'name="csrf" value="([0-9a-f]+)"', found.http.get("/home", headers=out).text)
        assert csrf
        assert found.http.post("/sign-out", headers=out, data={"csrf": csrf[1]}).status_code == 200
        assert found.http.get("/home", headers=out).status_code == 401
        gone = sign_in(found, found.kit.carer)
        found.kit.exchange.store.write(lambda uow: deactivate_person(uow, found.kit.carer))
        assert found.http.get("/home", headers=gone).status_code == 401


def form_of(found: Api, headers: dict[str, str], transfer: str) -> dict[str, str]:
    page = found.http.get(f"/home/{transfer}", headers=headers).text
    return {name: re.search(rf'name="{name}" value="([^"]+)"', page)[1] for name in ("csrf", "version")}  # type: ignore[index]


FORMS: dict[str, tuple[dict[str, str], dict[str, str], set[int]]] = {
    "no csrf": ({"csrf": ""}, {}, {422}),
    "wrong csrf": ({"csrf": "0" * 64}, {}, {422}),
    "csrf not ASCII": ({"csrf": "é"}, {}, {422}),
    "from another site": ({}, {"sec-fetch-site": "cross-site"}, {422}),
    "from a neighbour": ({}, {"sec-fetch-site": "same-site"}, {422}),
    "unknown kind": ({"kind": "yes"}, {}, {422}),
    "no kind": ({"kind": ""}, {}, {422}),
    "a version that is no number": ({"version": "one"}, {}, {400, 404, 422}),
    "a version that is not there": ({"version": "99"}, {}, {404}),
    "a huge version": ({"version": "9" * 30}, {}, {400, 404, 422}),
    "no reason": ({"kind": "cannot"}, {}, {422}),
    "a day that is not": ({"kind": "can_take", "when": "other", "day": "2026-02-31", "time": "10:00"}, {}, {422}),
    "an agreement": ({"kind": "agreed"}, {}, {422}),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_form_that_is_not_good_changes_nothing(tmp_path: Path, name: str) -> None:
    fields, more, expected = FORMS[name]
    with api(tmp_path) as found:
        transfer = found.kit.story(2)
        headers = sign_in(found, found.kit.carer)
        good = {**form_of(found, headers, transfer), "kind": "seen"}
        answer = found.http.post(f"/home/{transfer}/answer", headers={**headers, **more}, data={**good, **fields})
        assert answer.status_code in expected, answer.text[:300]
        assert rows(found, Answer) == []
        assert found.http.post(f"/home/{transfer}/answer", headers=headers, data=good).status_code == 303
        assert len(rows(found, Answer)) == 1
        assert found.kit.findings() == []


def test_a_form_that_is_too_large_or_of_another_kind(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        transfer = found.kit.story(2)
        headers = sign_in(found, found.kit.carer)
        good = {**form_of(found, headers, transfer), "kind": "ask", "topic": "Q01", "question": "x"}
        path = f"/home/{transfer}/answer"
        assert found.http.post(path, headers=headers, data={**good, "question": "x" * 200_000}).status_code in (413, 422)
        assert found.http.post(path, headers=headers, json=good).status_code in (415, 422)
        assert found.http.post(path, headers=headers, data={**good, **{f"f{n}": "1" for n in range(2000)}}).status_code in (400, 413, 422)
        assert found.http.post(path, headers=headers, files={"csrf": b"x"}).status_code in (400, 415, 422)
        assert rows(found, Answer) == []


def test_a_kept_answer_says_what_was_said_and_by_whom_to_everybody_of_the_home(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        transfer = found.kit.story(2)
        headers = sign_in(found, found.kit.carer)
        form = {**form_of(found, headers, transfer), "kind": "cannot", "reason": "D05"}
        kept = found.http.post(f"/home/{transfer}/answer", headers=headers, data=form).headers["location"]
        for reader in (headers, sign_in(found, found.kit.manager)):
            page = found.http.get(kept, headers=reader).text
            assert re.search(r"To version 1: <strong>cannot take: The papers are not complete \(Ama Carer-Test, ", page)
        assert found.http.get(kept, headers=sign_in(found, found.kit.other_carer)).status_code == 404


def test_addresses_that_are_nothing(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        transfer = found.kit.story(2)
        headers = sign_in(found, found.kit.carer)
        for path in ("version/x", "version/" + "9" * 30, "version/0", "letters/x", "letters/%00", "answered/x", "nothing"):
            assert found.http.get(f"/home/{transfer}/{path}", headers=headers).status_code == 404, path
        assert found.http.get(f"/home/{transfer}/version/1", headers=headers).status_code == 200
        assert found.http.get(f"/home/{transfer}").status_code == 401
