"""The shared samples and cases, where they are beside the repository; and the command functions over them."""

import json
import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from exchange.check import Checker, __main__, command
from exchange.check.plan import CORE
from exchange.fhir.json import load_strict
from exchange.fhir.r4 import xml
from tests.check_kit import REPOSITORY, SHARED, UK, as_bytes, broken, document

CASES = SHARED / "cases"
EXAMPLES = SHARED / "samples/ukcore_r4"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/samples is not here")
# Examples that are wrong, as the HL7 engine says, too.
FLAGGED = {
    "Extension-UKCore-ConditionEpisode-Example.xml": {
        "unknown-element"
    },  # two values in one extension, one of a type that it does not allow
    "UKCore-Bundle-NEWS2Observations-Example.xml": {"fullurl-absolute"},  # relative fullUrls
}


def _errors(path: Path) -> set[str]:
    checker = Checker.load()
    profiles = {url.rpartition("/")[2]: url for url, _ in checker.plan.profile_names()}
    names = [name for name in profiles if path.stem.startswith(f"{name}-") and not name.startswith("Extension-")]
    chosen = [profiles[max(names, key=len)]] if names else []
    done = command.check_file(checker, path, chosen)
    assert not done.unreadable
    return {issue.rule for issue in done.issues if issue.severity in ("error", "fatal")}


@needs_shared
def test_uk_cores_own_examples() -> None:
    found = {path.name: rules for path in sorted(EXAMPLES.iterdir()) if (rules := _errors(path))}
    assert found == FLAGGED


@needs_shared
@pytest.mark.parametrize("number", ["24", "27", "28", "29", "30"])
def test_cases_from_the_field(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder,) = CASES.glob(f"{number}-*")
    wanted = json.loads((folder / "expect.json").read_text())["exit"]
    code = __main__.main([str(folder / "input.json")])
    assert code in (wanted if isinstance(wanted, list) else [wanted])
    assert capsys.readouterr().out


@needs_shared
def test_the_skeleton_is_clean() -> None:
    value = load_strict((SHARED / "samples/spec_skeleton_bundle.json").read_bytes())
    assert isinstance(value, dict)
    assert {issue.severity for issue in Checker.load().check(value)} <= {"information"}


def _folder(tmp_path: Path) -> Path:
    (tmp_path / "inner").mkdir()
    (tmp_path / "a.json").write_bytes(as_bytes(document()))
    (tmp_path / "inner/b.json").write_bytes(as_bytes(broken(timestamp=None)))
    (tmp_path / "notes.txt").write_text("not looked at")
    return tmp_path


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _folder(tmp_path)
    assert __main__.main([str(folder / "a.json")]) == 0
    assert __main__.main([str(folder)]) == 1
    (folder / "c.json").write_text("{")
    assert __main__.main([str(folder)]) == 3
    out = capsys.readouterr().out
    assert "3 files: 1 without errors, 1 with errors, 1 not readable" in out
    assert __main__.main([str(folder / "absent.json")]) == 3
    (folder / "empty").mkdir()
    assert __main__.main([str(folder / "empty")]) == 3
    assert __main__.main(["--profile", "http://x/y", str(folder / "a.json")]) == 3
    assert "not compiled in" in capsys.readouterr().out


def test_a_profile_of_another_type_is_not_passed_in_silence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"resourceType": "Patient"}')
    for url, code in (
        (UK + "UKCore-Observation", 1),
        (UK + "UKCore-Patient", 0),
        (CORE + "Patient", 0),
        (CORE + "Group", 1),
        (CORE + "Period", 3),
    ):
        assert __main__.main(["--profile", url, str(path)]) == code
        assert ("[profile-type]" in capsys.readouterr().out) is (code == 1)
    assert __main__.main(["--show-profile", CORE + "Patient"]) == 0


def test_formats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _folder(tmp_path)
    __main__.main(["--format", "json", str(folder)])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["exit"] for line in lines] == [0, 1]
    assert lines[1]["issues"][0]["rule"] == "bdl-10"
    __main__.main(["--format", "outcome", str(folder)])
    outcomes = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {outcome["resourceType"] for outcome in outcomes} == {"OperationOutcome"}


def test_values_are_quoted_when_asked_for_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    person = {"resourceType": "Patient", "gender": "Zaphod", "multipleBirthInteger": Decimal("1.50"), "_birthDate": {"id": ""}}
    person |= {"name": [{"family": "x"}, {"family": "Beeblebrox", "use": "y" * 500}]}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(person, default=float))
    for form in ("text", "json", "outcome"):
        __main__.main(["--format", form, str(path)])
        assert not {"Zaphod", "yyy", "1.5"} & set(re.findall(r"Zaphod|yyy|1\.5", capsys.readouterr().out))
    __main__.main(["--with-values", str(path)])
    out = capsys.readouterr().out
    assert 'Patient.gender = "Zaphod": The code' in out
    assert "Patient.multipleBirth.ofType(integer) = 1.5: Not a valid integer" in out
    assert 'Patient.birthDate.id = "": ' in out
    assert f'Patient.name[1].use = "{"y" * 199}...: ' in out
    __main__.main(["--with-values", "--format", "json", str(path)])
    values = {one["expression"]: one["value"] for one in json.loads(capsys.readouterr().out)["issues"]}
    assert values["Patient.name[1].use"] == "y" * 500


def test_it_stands_on_its_own_feet(tmp_path: Path) -> None:
    """With Python and lxml alone, and of Wardpost only the FHIR reader."""
    (tmp_path / "a.json").write_bytes(as_bytes(document()))
    (tmp_path / "a.xml").write_bytes(xml.write(document()))
    script = """
import runpy, sys
class Alone:
    def find_spec(self, name, path=None, target=None):
        top, _, rest = name.partition(".")
        ours = rest in ("check", "errors", "fhir", "") or rest.startswith(("check.", "fhir."))
        if not (top in sys.stdlib_module_names or top.startswith("_sysconfig") or top == "lxml" or (top == "exchange" and ours)):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Alone())
sys.argv = ["check", *sys.argv[1:]]
runpy.run_module("exchange.check", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 files: 2 without errors" in done.stdout


def test_the_report_goes_to_standard_output_beside_a_progress_bar(tmp_path: Path) -> None:
    terminal, theirs = os.openpty()
    command_line = [sys.executable, "-c", "from exchange.cli.main import app; app()", "check", str(_folder(tmp_path))]
    done = subprocess.run(command_line, stdout=subprocess.PIPE, stderr=theirs, text=True, cwd=REPOSITORY, check=False)
    os.close(theirs)
    assert done.returncode == 1
    assert "[bdl-10]\n" in done.stdout
    assert done.stdout.endswith("issues: 1 error, 4 information\n")
    assert b"checking" in os.read(terminal, 100_000)


def test_profiles_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["--list-profiles", "UKCore-Patient"]) == 0
    assert capsys.readouterr().out.startswith("https://fhir.hl7.org.uk/StructureDefinition/UKCore-Patient|2.6.1")
    assert __main__.main(["--show-profile", "https://fhir.hl7.org.uk/StructureDefinition/UKCore-Patient"]) == 0
    assert "nhsNumber" in capsys.readouterr().out
    assert __main__.main(["--list-profiles", "nothing-like-it"]) == 3
    assert "No profile" in capsys.readouterr().out
    assert __main__.main(["--show-profile", "http://x/y"]) == 3
    assert capsys.readouterr().out
