"""A care home as the outside sees it: its software that polls by `_lastUpdated` alone, and one named person with a link. HTTP only."""

import html
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.service_kit import FORM, Service

_BUNDLE = "application/fhir+json"


@dataclass
class Paper:
    """One DocumentReference as last seen, with the contents collected while it was current."""

    reference: dict[str, Any]
    contents: list[bytes] = field(default_factory=list)

    @property
    def transfer(self) -> str:
        return str(self.reference["identifier"][0]["value"]).removeprefix("urn:uuid:")

    @property
    def status(self) -> str:
        return str(self.reference["status"])

    @property
    def number(self) -> int:
        return int(self.reference["description"].split(":")[0].removeprefix("Version "))

    @property
    def document(self) -> dict[str, Any] | None:
        """The Bundle, when the version has one."""
        is_bundle = self.contents and self.reference["content"][0]["attachment"]["contentType"] == _BUNDLE
        return json.loads(self.contents[0]) if is_bundle else None


@dataclass
class Home:
    """Everything that the home of this ODS code was ever given stands in `seen`, byte for byte."""

    service: Service
    code: str
    person: str = ""
    papers: dict[str, Paper] = field(default_factory=dict)
    seen: list[bytes] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    since: str = "2020-01-01T00:00:00Z"

    def set_up(self) -> None:
        self.service.add_client(f"home-{self.code}", self.code)
        more = ("--role", "carer", "--email", f"{self.code}@sim.example".lower())
        self.person = self.service.cli("people", "add", "Carer Sim-Test", "--org", self.code, *more)

    def get(self, url: str, expect: int = 200, **headers: str) -> bytes:
        """The body of an address of ours, whatever it says; a status other than `expect` is a complaint."""
        parts = urlsplit(url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        token = "" if headers else self.service.lasting_token(f"home-{self.code}")
        status, _, body = self.service.http("GET", path, token=token, **headers)
        self.seen.append(body)
        if status != expect:
            self.wrong.append(f"{self.code}: {status} instead of {expect} for {parts.path}")
        return body

    def poll(self) -> None:
        """What changed since the newest change seen so far, page by page; each new current document and its letters are collected."""
        url = "/fhir/DocumentReference?" + urlencode({"_lastUpdated": f"gt{self.since}", "_count": "10"})
        while url:
            page = json.loads(self.get(url))
            for paper in (Paper(entry["resource"]) for entry in page.get("entry", [])):
                self._take(paper)
            url = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")

    def _take(self, paper: Paper) -> None:
        before = self.papers.get(paper.reference["id"])
        self.since = paper.reference["meta"]["lastUpdated"]
        addresses = [content["attachment"]["url"] for content in paper.reference["content"]]
        if paper.status == "entered-in-error":
            for address in addresses:
                self.get(address, expect=410)
        paper.contents = before.contents if before else []
        if paper.status == "current" and not paper.contents:
            paper.contents = [self.get(address) for address in addresses]
        self.papers[paper.reference["id"]] = paper

    def pages(self) -> dict[str, str]:
        """The list and the page of each current transfer, as a named person sees them by a link; the text of each page by transfer id."""
        path = urlsplit(self.service.cli("people", "link", self.person)).path
        status, headers, _ = self.service.http("POST", path, b"", media_type=FORM)
        assert status == 303, status
        cookie = headers["set-cookie"].split(";")[0]
        self.get("/home", cookie=cookie)
        transfers = [paper.transfer for paper in self.papers.values() if paper.status == "current"]
        return {transfer: html.unescape(self.get(f"/home/{transfer}", cookie=cookie).decode()) for transfer in transfers}
