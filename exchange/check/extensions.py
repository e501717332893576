"""Extensions: each against its definition, in a place that the definition allows (R4 extensibility.html, defining-extensions.html)."""

from exchange.check.plan import Element, Node, Profile
from exchange.check.report import Report, Where


def definition(report: Report, url: object, at: Where) -> Profile | None:
    """The definition of an extension with this url, where it is held here."""
    profile = report.plan.profile(url) if isinstance(url, str) else None
    if profile and profile.type != "Extension":
        report.say(at, "extension-url", f"This url is a profile of {profile.type}, not an extension", "extension")
        return None
    return profile


def foreign(report: Report, url: str, part: Element, node: Node, where: Where) -> None:
    """An extension without a definition here."""
    if ":" not in url:
        if node.type != "Extension":
            words = "The url of an extension must be absolute, save inside another extension"
            report.say(where, "extension-url", words, "extension")
        elif part.by_url:
            report.say(where, "extension-url", "This extension does not define such a part", "extension")
        return
    report.say(
        where,
        "extension-unknown",
        "Extension not known: its content is not checked",
        "extension",
        severity="warning" if part.key == "modifierExtension" else "information",
    )


def placed(
    report: Report, profile: Profile, part: Element, node: Node, holder: Element | None, where: Where, at: Where, outer: object
) -> None:
    """The context of an extension: the element, or its type, that it is defined for."""
    if profile.modifier != (part.key == "modifierExtension"):
        word = "modifierExtension" if profile.modifier else "extension"
        report.say(at, "extension-modifier", f"This extension belongs into {word}", "extension")
    if profile.unless:
        report.unsure("context-not-checked", profile.url, at, "the context invariant of an extension")
    if not profile.contexts:
        return
    names = {node.path, *report.plan.types.ancestry(node.type)}
    if holder is not None:
        names |= {holder.path.split(":")[0], holder.path.replace("[x]", ""), *report.plan.types.ancestry(holder.type)}
    steps: list[str] = []
    place: Where | None = where
    while place is not None:
        steps.insert(0, place[1])
        place = place[0]
    resource = str(report.resource.get("resourceType", ""))
    if resource in steps or "resource" in steps:
        start = max([index for index, step in enumerate(steps) if step == "resource"], default=0)
        names.add(".".join([resource, *(step.split(".ofType(")[0] for step in steps[start + 1 :])]))
    for kind, expression in profile.contexts:
        if kind == "extension" and node.type == "Extension" and outer == expression:
            return
        if kind == "element" and (expression in names or expression.replace("[x]", "") in names):
            return
        if kind == "fhirpath":
            report.unsure("context-not-checked", profile.url, at, "the FHIRPath context of an extension")
            return
    allowed = ", ".join(expression for _, expression in profile.contexts)
    words = f"This extension is defined for {allowed}, not for {node.path if holder is None else holder.path}"
    report.say(at, "extension-context", words, "extension")
