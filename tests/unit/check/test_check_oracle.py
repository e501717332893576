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
