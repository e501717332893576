"""Extensions: each against its definition, in a place that the definition allows (R4 extensibility.html, defining-extensions.html)."""

from typing import TYPE_CHECKING, Any

from exchange.check.issue import Severity
from exchange.check.plan import Element, Node, Profile

if TYPE_CHECKING:
    from exchange.check.walk import Walk, Where


def check(
    walk: "Walk", items: list[Any], part: Element, node: Node, holder: Element | None, where: "Where", depth: int, outer: object
) -> None:
    """The extensions of one object. `holder` is the element that the object is the value of; `outer` the url of the extension it is,
    if any.
    """
    counts: dict[str, int] = {}
    base = walk.plan.type_node("Extension")
    assert base is not None
    for index, item in enumerate(items):
        at: Where = (where, part.step, index)
        url = item.get("url") if isinstance(item, dict) else None
        profile = walk.plan.profile(url) if isinstance(url, str) else None
        if profile and profile.type != "Extension":
            walk.say("error", "extension", at, f"This url is a profile of {profile.type}, not an extension", "extension-url")
            profile = None
        one = part.by_url.get(url) if isinstance(url, str) else None
        if one:
            counts[one.path] = counts.get(one.path, 0) + 1
            walk.members(item, one.node or walk.build(one), part, at, depth - 1)
        else:
            walk.members(item, profile.node if profile else base, part, at, depth - 1)
        if profile:
            _placed(walk, profile, part, node, holder, where, at, outer)
        elif isinstance(url, str) and not one:
            _foreign(walk, url, part, node, at)
    if part.by_url:
        walk.slice_counts(counts, part, where)


def _foreign(walk: "Walk", url: str, part: Element, node: Node, where: "Where") -> None:
    """An extension without a definition here."""
    if ":" not in url:
        if node.type != "Extension":
            words = "The url of an extension must be absolute, save inside another extension"
            walk.say("error", "extension", where, words, "extension-url")
        elif part.by_url:
            walk.say("error", "extension", where, "This extension does not define such a part", "extension-url")
        return
    severity: Severity = "warning" if part.key == "modifierExtension" else "information"
    walk.say(severity, "extension", where, "Extension not known: its content is not checked", "extension-unknown")


def _placed(
    walk: "Walk", profile: Profile, part: Element, node: Node, holder: Element | None, where: "Where", at: "Where", outer: object
) -> None:
    """The context of an extension: the element, or its type, that it is defined for."""
    if profile.modifier != (part.key == "modifierExtension"):
        word = "modifierExtension" if profile.modifier else "extension"
        walk.say("error", "extension", at, f"This extension belongs into {word}", "extension-modifier")
    if profile.unless:
        walk.unsure("context-not-checked", profile.url, at, "the context invariant of an extension")
    if not profile.contexts:
        return
    names = {node.path, *walk.plan.types.ancestry(node.type)}
    if holder is not None:
        names |= {holder.path.split(":")[0], holder.path.replace("[x]", ""), *walk.plan.types.ancestry(holder.type)}
    steps: list[str] = []
    place: Where | None = where
    while place is not None:
        steps.insert(0, place[1])
        place = place[0]
    resource = str(walk.resource.get("resourceType", ""))
    if resource in steps or "resource" in steps:
        start = max([index for index, step in enumerate(steps) if step == "resource"], default=0)
        names.add(".".join([resource, *(step.split(".ofType(")[0] for step in steps[start + 1 :])]))
    for kind, expression in profile.contexts:
        if kind == "extension" and node.type == "Extension" and outer == expression:
            return
        if kind == "element" and (expression in names or expression.replace("[x]", "") in names):
            return
        if kind == "fhirpath":
            walk.unsure("context-not-checked", profile.url, at, "the FHIRPath context of an extension")
            return
    allowed = ", ".join(expression for _, expression in profile.contexts)
    words = f"This extension is defined for {allowed}, not for {node.path if holder is None else holder.path}"
    walk.say("error", "extension", at, words, "extension-context")
