"""Run by `tests.bench.check` in pyfhircheck's own environment: milliseconds of CPU for the document on standard input.

Argument: a folder with two FHIR packages, core.tgz (hl7.fhir.r4.core 4.0.1) and ukcore.tgz. Uses nothing but pyfhircheck.
"""

import json
import sys
import time
from pathlib import Path

from pyfhircheck import Validator
from pyfhircheck.config import PackageConfig, ValidatorConfig


def main() -> None:
    folder = Path(sys.argv[1])
    document = json.load(sys.stdin)
    config = ValidatorConfig(
        packages=[
            PackageConfig("hl7.fhir.r4.core", "4.0.1", source=str(folder / "core.tgz")),
            PackageConfig("ukcore", "2.0.0", source=str(folder / "ukcore.tgz")),
        ]
    )
    before = time.process_time()
    validator = Validator(config)
    report = validator.validate_resource(document)
    first = (time.process_time() - before) * 1000
    before = time.process_time()
    validator.validate_resource(document)
    spent = (time.process_time() - before) * 1000
    errors = sum(str(issue.severity).lower().endswith("error") for issue in report.issues)
    sys.stdout.write(f"{'pyfhircheck, load and first document':<44}{first:>12.2f} ms\n")
    sys.stdout.write(f"{'pyfhircheck, second document':<44}{spent:>12.2f} ms  {errors} errors said of it\n")


if __name__ == "__main__":
    main()
