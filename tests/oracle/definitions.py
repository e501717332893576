"""The StructureDefinitions as the damage needs them, read from the engine's own resources: nothing here is shared with the compiler."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

_NS = "{http://hl7.org/fhir}"
_FILES = ("org/hl7/fhir/r4/model/profile/profiles-resources.xml", "org/hl7/fhir/r4/model/profile/profiles-types.xml")


@dataclass
class Definition:
    path: str
    min: int
    max: str
    types: list[str]
    strength: str = ""
    children: list[str] = field(default_factory=list)


@dataclass
class Site:
    """One property of one object of a resource."""

    holder: dict[str, Any]
    key: str
    definition: Definition
    type: str

    @property
    def value(self) -> Any:
        return self.holder[self.key]


def _value(node: ElementTree.Element, name: str) -> str:
    found = node.find(_NS + name)
    return found.get("value", "") if found is not None else ""


class Definitions:
    def __init__(self, jar: Path) -> None:
        self.by_path: dict[str, Definition] = {}
        self.primitives: set[str] = set()
        self.resources: set[str] = set()
        with zipfile.ZipFile(jar) as archive:
            for name in _FILES:
                with archive.open(name) as file:
                    for _, node in ElementTree.iterparse(file):
                        if node.tag == _NS + "StructureDefinition":
                            self._take(node)
                            node.clear()
        for path, definition in self.by_path.items():
            parent = self.by_path.get(path.rpartition(".")[0])
            if parent:
                parent.children.append(definition.path)

    def _take(self, node: ElementTree.Element) -> None:
        if _value(node, "derivation") == "constraint":
            return
        type_ = _value(node, "type")
        if _value(node, "kind") == "primitive-type":
            self.primitives.add(type_)
        elif _value(node, "kind") == "resource" and _value(node, "abstract") == "false":
            self.resources.add(type_)
        snapshot = node.find(_NS + "snapshot")
        for element in snapshot if snapshot is not None else ():
            path = _value(element, "path")
            types = []
            for found in element.findall(_NS + "type"):
                code = _value(found, "code")
                types.append("string" if code.startswith("http") else code)
            binding = element.find(_NS + "binding")
            strength = _value(binding, "strength") if binding is not None else ""
            self.by_path[path] = Definition(path, int(_value(element, "min") or 0), _value(element, "max"), types, strength)

    def sites(self, resource: Any) -> Iterator[Site]:
        """Every property with a definition, in a resource and (for Bundles) in the resources of its entries."""
        yield from self._inside(resource, resource["resourceType"])

    def _inside(self, holder: Any, path: str) -> Iterator[Site]:
        known = {child.rpartition(".")[2]: self.by_path[child] for child in (self.by_path[path].children if path in self.by_path else ())}
        for key in list(holder):
            definition, type_ = known.get(key), ""
            if definition is None:
                for name, candidate in known.items():
                    if name.endswith("[x]") and key.startswith(name[:-3]):
                        rest = key[len(name) - 3 :]
                        type_ = next((found for found in candidate.types if found[:1].upper() + found[1:] == rest), "")
                        definition = candidate if type_ else definition
            if definition is None:
                continue
            type_ = type_ or (definition.types[0] if definition.types else "")
            yield Site(holder, key, definition, type_)
            value = holder[key]
            for item in value if isinstance(value, list) else [value]:
                if not isinstance(item, dict):
                    continue
                if "resourceType" in item:
                    yield from self._inside(item, item["resourceType"])
                elif type_ in ("BackboneElement", "Element", ""):
                    yield from self._inside(item, definition.path)
                else:
                    yield from self._inside(item, type_)
