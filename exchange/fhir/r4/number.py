"""Decimals to the character: FHIR gives meaning to the digits as they were written."""

from decimal import Decimal, InvalidOperation


class Literal(Decimal):
    """A decimal whose text `Decimal` would write otherwise (`1e3`, `-0` read as an integer): `str()` gives the source's characters."""

    text: str

    def __str__(self) -> str:
        return self.text


def number(text: str) -> Decimal:
    """A decimal that prints exactly as it was written. Raises ValueError for an exponent that no computer holds."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError("a number beyond every range") from None
    if str(value) == text:
        return value
    literal = Literal(text)
    literal.text = text
    return literal
