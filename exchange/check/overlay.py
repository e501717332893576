"""Snapshots: a differential laid over its base (FHIR profiling, section "Snapshot and Differential")."""

from exchange.fhir.r4.tables import Binding, Facts, Slicing, TypeTables

_MERGED = {"binding", "rules", "children", "slicing", "types"}


def overlay(base: Facts, delta: Facts, types: TypeTables | None) -> Facts:
    """`base` as constrained by `delta`; neither is changed.

    With `types` the result is a snapshot: children of a data type appear as soon as one of them is constrained. Without, two
    differentials are merged into one, so that a chain of profiles becomes a single difference from the type at its root.
    """
    out = base.copy()
    for key, value in delta.items():
        if key not in _MERGED:
            out[key] = value  # type: ignore[literal-required]  # the key is one of Facts
    if "types" in delta:
        # A differential that repeats a type without its targets or profile keeps what its base said of that type.
        known = {ref["code"]: ref for ref in base.get("types", [])}
        out["types"] = [{**known.get(ref["code"], {}), **ref} for ref in delta["types"]]
    if "binding" in delta:
        out["binding"] = Binding(**{**base.get("binding", {}), **delta["binding"]})
    if "rules" in delta:
        out["rules"] = {**base.get("rules", {}), **delta["rules"]}
    if "children" in delta:
        children = dict(types.children(out) if types else base.get("children", {}))
        for name, child in delta["children"].items():
            children[name] = overlay(children.get(name, {}), child, types)
        out["children"] = children
    if "slicing" in delta:
        before, after = base.get("slicing", {}), delta["slicing"]
        slices = dict(before.get("slices", {}))
        for name, child in after.get("slices", {}).items():
            slices[name] = overlay(slices.get(name, {}), child, None)
        out["slicing"] = Slicing(**{**before, **after, "slices": slices})
    return out


def slice_facts(element: Facts, name: str, types: TypeTables) -> Facts:
    """One slice as a whole: the unsliced element with the slice's own difference. Its minimum is its own: none unless it says so."""
    plain = element.copy()
    slicing = plain.pop("slicing")
    plain["min"] = 0
    return overlay(plain, slicing["slices"][name], types)
