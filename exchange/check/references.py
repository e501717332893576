"""References in place: their form, whether they lead anywhere and to what; and the rules over a Bundle and a document as a whole
(R4 references.html, bundle.html, documents.html).
"""

from typing import Any

from exchange.check.look import items
from exchange.check.places import REST, SCHEME, Resource
from exchange.check.plan import Element
from exchange.check.report import Report, Where


def whole(report: Report, root: Where) -> None:
    """The rules over a Bundle as a whole; `root` is where it stands."""
    places = report.places
    if places.bundle is None:
        return
    exempt = places.bundle.get("type") in ("batch", "transaction", "batch-response", "transaction-response")
    for index, entry in enumerate(items(places.bundle, "entry")):
        if not isinstance(entry, dict):
            continue
        at: Where = ((root, "entry", index), "fullUrl", None)
        url, resource = entry.get("fullUrl"), entry.get("resource")
        if not isinstance(url, str):
            if not exempt and isinstance(resource, dict):
                report.say((root, "entry", index), "fullurl-missing", "An entry needs a fullUrl", "required")
            continue
        if not SCHEME.match(url):
            report.say(at, "fullurl-absolute", "A fullUrl is absolute", "value")
        rest = REST.fullmatch(url)
        if rest and isinstance(resource, dict) and (rest[3], rest[2]) != (resource.get("id"), resource.get("resourceType")):
            report.say(at, "fullurl-id", "The fullUrl does not end in the type and id of its resource", "value")
    if places.document:
        _reachable(report, root)


def _reachable(report: Report, root: Where) -> None:
    """documents.html: an entry belongs into a document because the Composition leads to it, or because it points into the document."""
    links = report.places.links
    found = [(index, entry["resource"]) for index, entry in enumerate(report.places.entries()) if isinstance(entry.get("resource"), dict)]
    if not found or found[0][1].get("resourceType") != "Composition":
        return
    reached: set[int] = set()
    todo = _spread(links, reached, found[0][1])
    if all(id(resource) in reached for _, resource in found):
        return
    sources: dict[int, list[tuple[int, Resource]]] = {}
    for index, resource in found:
        for target in links.get(id(resource), ()):
            sources.setdefault(id(target), []).append((index, resource))
    for target in todo:
        for index, resource in sources.get(id(target), ()):
            if id(resource) not in reached:
                todo += _spread(links, reached, resource)
                if resource.get("resourceType") != "Provenance":
                    words = "The Composition does not lead to this entry; it only points into the document"
                    report.say((root, "entry", index), "document-backwards", words, severity="warning")
    for index, resource in found:
        if id(resource) not in reached:
            report.say((root, "entry", index), "document-orphan", "Nothing in the document leads to this entry")


def _spread(links: dict[int, list[Resource]], reached: set[int], start: Resource) -> list[Resource]:
    """What is newly reached from here, itself included."""
    reached.add(id(start))
    found = [start]
    for resource in found:
        for target in links.get(id(resource), ()):
            if id(target) not in reached:
                reached.add(id(target))
                found.append(target)
    return found


def reference(report: Report, found: dict[str, Any], part: Element, where: Where) -> None:
    """One Reference: its form, whether it leads anywhere, and to what."""
    places = report.places
    text = found.get("reference")
    if not isinstance(text, str) or not text:
        _typed(report, found.get("type"), found, part, where)
        return
    target = places.by_url.get(text)
    if target is not None and "type" not in found:
        kind = target.get("resourceType")
        if part.targets is None or (isinstance(kind, str) and part.targets.get(kind) == []):
            places.link(target)  # the usual case: an entry of a type that may stand here
            return
    at: Where = (where, "reference", None)
    type_: object = None
    if text.startswith("#"):
        if text == "#":
            target = places.container
        elif text[1:] in places.contained:
            target = places.contained[text[1:]]
        else:
            report.say(at, "ref-1", "No contained resource has this id", "not-found")
            return
    else:
        target, type_, fault = places.resolve(text)
        from_composition = places.document and places.container.get("resourceType") == "Composition"
        if target is None and from_composition and not (fault and fault[0] == "error"):
            fault = "error", "document-reference", "What a Composition refers to must be an entry of its document"
        if fault:
            severity, rule, words = fault
            report.say(at, rule, words, "not-found" if rule != "reference-form" else "value", severity=severity)
        if target is not None:
            places.link(target)
    if target is not None:
        type_ = target.get("resourceType")
    claimed = found.get("type")
    if isinstance(claimed, str) and isinstance(type_, str) and claimed != type_:
        report.say((where, "type", None), "reference-type", "The type of the reference is not that of its target", "value")
    _typed(report, type_ or claimed, found, part, where)
    if target is not None and isinstance(type_, str) and part.targets and part.targets.get(type_):
        _conforms(report, target, part.targets[type_], where)


def _typed(report: Report, type_: object, found: dict[str, Any], part: Element, where: Where) -> None:
    if not isinstance(type_, str) or ":" in type_:
        return
    facts = report.plan.types.facts(type_)
    if facts is None or facts["kind"] != "resource":
        if "type" in found:
            report.say(where, "reference-type", "The reference names a type of resource that R4 does not have", "value")
    elif part.targets is not None and type_ not in part.targets:
        report.say(where, "reference-target", f"{part.path} may refer to {', '.join(part.targets)} only")


def _conforms(report: Report, target: Resource, profiles: list[str], where: Where) -> None:
    """The target must hold to one of these profiles. One that claims it is checked at its own place."""
    claims = target.get("meta", {}).get("profile", []) if isinstance(target.get("meta"), dict) else []
    if any(isinstance(claim, str) and claim.partition("|")[0] in profiles for claim in (claims if isinstance(claims, list) else ())):
        return
    if any(_conforms_alone(report, target, url) for url in profiles):
        return
    report.say(where, "reference-profile", f"The target must conform to {' or '.join(profiles)}")


def _conforms_alone(report: Report, target: Resource, url: str) -> bool:
    """The target holds to a profile, looked at by itself: references out of it are not followed."""
    known = report.places.conforming
    key = id(target), url
    if key not in known:
        profile = report.plan.profile(url)
        known[key] = profile is None or not any(issue.severity in ("fatal", "error") for issue in report.alone(target, profile))
    return known[key]
