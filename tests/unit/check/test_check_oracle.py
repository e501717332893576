"""A sample of the comparison with HL7's own engine (tests/oracle). Long: it runs among the services where WARDPOST_ORACLE is set, which
CI does.
"""

import os

import pytest

from tests.oracle import run


@pytest.mark.services
@pytest.mark.skipif(not os.environ.get("WARDPOST_ORACLE"), reason="WARDPOST_ORACLE is not set")
@pytest.mark.skipif(bool(run.missing()), reason="Maven, Java or ../shared is not here")
def test_the_checker_agrees_with_the_engine() -> None:
    assert run.main(["--count", "300", "--seed", "7", "--quiet", "--agreement", "99"]) == 0


def test_damage_that_is_reported_elsewhere_is_told() -> None:
    def case(*ours: str, theirs: str = "error") -> run.Case:
        engine = [[theirs, "Patient.gender", "x", "y"]]
        return run.Case("", "kind", "", engine=engine, ours=list(ours), changed={"Patient.name.given"})

    for place in ("Patient.name[0].given[1]", "Patient.name[0]", "Patient"):
        assert not case(f"rule {place} words").misplaced
    for wrong in (case("rule Patient.gender words"), case("rule Patient.names words"), case()):
        assert wrong.misplaced
    other = case("rule Patient.gender words")
    other.changed = {"Patient.meta.profile"}  # what the whole resource is held to
    assert not other.misplaced
    assert not case(theirs="warning").misplaced  # clean by the engine's word
