"""Codes: which belong to a value set or a code system, and of which that cannot be said here."""

import re
from collections.abc import Callable
from functools import cached_property
from typing import Any, cast

from exchange.fhir.r4.tables import Records
from exchange.fhir.r4.ucum import is_ucum

_KEPT = 5_000  # names of code systems: those of the tables and the usual others, not whatever a stranger sends
UCUM = "http://unitsofmeasure.org"
# ISO 4217, in use and withdrawn, as OpenJDK 17.0.15 lists it (java.util.Currency).
_CURRENCIES = (
    "ADP AED AFA AFN ALL AMD ANG AOA ARS ATS AUD AWG AYM AZM AZN BAM BBD BDT BEF BGL BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP "
    "BYB BYN BYR BZD CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CSD CUC CUP CVE CYP CZK DEM DJF DKK DOP DZD EEK EGP ERN ESP ETB "
    "EUR FIM FJD FKP FRF GBP GEL GHC GHS GIP GMD GNF GRD GTQ GWP GYD HKD HNL HRK HTG HUF IDR IEP ILS INR IQD IRR ISK ITL JMD JOD "
    "JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LTL LUF LVL LYD MAD MDL MGA MGF MKD MMK MNT MOP MRO MRU MTL MUR "
    "MVR MWK MXN MXV MYR MZM MZN NAD NGN NIO NLG NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PTE PYG QAR ROL RON RSD RUB RUR RWF SAR "
    "SBD SCR SDD SDG SEK SGD SHP SIT SKK SLE SLL SOS SRD SRG SSP STD STN SVC SYP SZL THB TJS TMM TMT TND TOP TPE TRL TRY TTD TWD "
    "TZS UAH UGX USD USN USS UYI UYU UZS VEB VED VEF VES VND VUV WST XAF XAG XAU XBA XBB XBC XBD XCD XCG XDR XFO XFU XOF XPD XPF "
    "XPT XSU XTS XUA XXX YER YUM ZAR ZMK ZMW ZWD ZWG ZWL ZWN ZWR"
)
# Systems defined by a grammar: RFC 5646 (language tags), RFC 6838 with RFC 2045 parameters (media types), UCUM; and a short list.
GRAMMAR: dict[str, Callable[[str], object]] = {
    UCUM: is_ucum,
    "urn:ietf:bcp:47": re.compile(
        # RFC 5646 leaves room for languages of four to eight letters; none is registered.
        r"(?:[a-zA-Z]{2,3}(?:-[a-zA-Z]{3}){0,3})(?:-[a-zA-Z]{4})?(?:-(?:[a-zA-Z]{2}|\d{3}))?"
        r"(?:-(?:[a-zA-Z0-9]{5,8}|\d[a-zA-Z0-9]{3}))*(?:-[0-9a-wyzA-WYZ](?:-[a-zA-Z0-9]{2,8})+)*(?:-x(?:-[a-zA-Z0-9]{1,8})+)?"
        r"|x(?:-[a-zA-Z0-9]{1,8})+",
        re.ASCII,
    ).fullmatch,
    "urn:iso:std:iso:4217": re.compile(_CURRENCIES.replace(" ", "|")).fullmatch,
    "urn:ietf:bcp:13": re.compile(
        r"[A-Za-z0-9][\w!#$&^.+-]{0,126}/[A-Za-z0-9][\w!#$&^.+-]{0,126}(?:\s*;\s*[\w!#$&^.+-]+=(?:[^\s\";]+|\"[^\"]*\"))*;?", re.ASCII
    ).fullmatch,
}


class CodeSystem:
    """A complete code system."""

    def __init__(self, record: dict[str, Any]) -> None:
        self._folded = bool(record.get("folded"))
        self._codes = frozenset(code.lower() if self._folded else code for code in record["codes"])

    def __contains__(self, code: str) -> bool:
        return (code.lower() if self._folded else code) in self._codes

    def __iter__(self) -> Any:
        return iter(self._codes)


class ValueSet:
    """A value set as far as it could be expanded. `has` is None for "cannot be said here"."""

    def __init__(self, url: str, record: dict[str, Any], terms: "Terms") -> None:
        self.url = url
        self._open = frozenset(record.get("open", ()))
        self._any = any(system.startswith("?") for system in self._open)
        self._codes: dict[str, frozenset[str] | CodeSystem] = {}
        for system, codes in record["codes"].items():
            whole = terms.system(system) if codes == "*" else None
            self._codes[system] = whole if whole is not None else frozenset(codes)

    def has(self, system: object, code: str) -> bool | None:
        if not isinstance(system, str):
            return None if self._any else False
        if system in self._codes and code in self._codes[system]:
            return True
        if system in GRAMMAR and system in self._open:
            return bool(GRAMMAR[system](code))
        return None if self._any or system in self._open else False

    def has_code(self, code: str) -> bool | None:
        """As `has`, for a plain code without a system."""
        if any(code in codes for codes in self._codes.values()):
            return True
        for system in self._open:
            if system not in GRAMMAR:
                return None
            if GRAMMAR[system](code):
                return True
        return False

    @cached_property
    def codes(self) -> frozenset[str]:
        """Every code that is certainly in the set, whatever its system."""
        return frozenset(code for codes in self._codes.values() for code in codes)


class Terms:
    """The value sets and code systems of the tables, built when first asked for."""

    def __init__(self, *tables: Records) -> None:
        self._tables = tables
        self._sets: dict[str, ValueSet | None] = {}
        self._systems: dict[str, CodeSystem | None] = {}

    def _record(self, kind: str, name: str) -> dict[str, Any] | None:
        for table in self._tables:
            if (found := table.get(kind, name)) is not None:
                return cast("dict[str, Any]", found)
        return None

    def value_set(self, url: str) -> ValueSet | None:
        """None for a value set that the tables do not have."""
        url = url.split("|")[0]
        if url not in self._sets:
            record = self._record("valueset", url)
            self._sets[url] = ValueSet(url, record, self) if record else None
        return self._sets[url]

    def system(self, url: str) -> CodeSystem | None:
        """None for a code system that the tables do not hold completely."""
        if url not in self._systems:
            record = self._record("codesystem", url)
            if record is None and (len(self._systems) > _KEPT or len(url) > 200):
                return None
            self._systems[url] = CodeSystem(record) if record else None
        return self._systems[url]
