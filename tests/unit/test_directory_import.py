"""The national directories: synthetic files in the published shape, read twice, with what real ones have wrong."""

from pathlib import Path

import pytest

from exchange.directory.imports import Report, import_file, postcode
from exchange.errors import Refused
from exchange.records import Organisation, OrgKey
from tests.app_kit import HOME, HOSPITAL, Kit, kit

CQC_HEAD = (
    "Location ID,Location HSCA start date,Care home?,Location Name,Location ODS Code,Location Telephone Number,Location Street Address,"
    "Location City,Location Postal Code,Provider ID,Provider Name,Service type - Care home service with nursing"
)


def ods(
    code: str, name: str = "Sample Lodge", at: str = "NM47QB", closed: str = "", provider: str = "VZZ0", phone: str = "01632 960200"
) -> str:
    row = [code, name, "Y54", "QT1", "5 Rehearsal Row", "", "", "Testmouth", "", at, "20200401", closed, "A", "", provider, "", "", phone]
    return ",".join([*row, *[""] * 9])


def cqc(code: str, id: str = "1-1000000001", name: str = "Sample Lodge", is_home: str = "Y", nursing: str = "Y") -> str:
    return f'{id},01/04/2020,{is_home},{name},{code},01632 960200,"5 Rehearsal Row, Upper",Testmouth,nm4  7qb,1-1,Sample Care Ltd,{nursing}'


def load(found: Kit, source: str, *lines: str) -> Report:
    return import_file(found.exchange.store, source, lines, lambda read: None)


def site(found: Kit, code: str) -> Organisation:
    row = found.exchange.store.read(lambda uow: uow.get(Organisation, code))
    assert row is not None
    return row


def test_ods_and_cqc_make_one_site_and_a_second_time_changes_nothing(tmp_path: Path) -> None:
    with kit(tmp_path) as found:
        assert load(found, "ods", ods("VZZ10"), ods("VZZ11", closed="20260930")).new == 2
        first = load(found, "cqc", "About this file", CQC_HEAD, cqc("VZZ10"))
        assert (first.read, first.new, first.changed) == (1, 0, 1)
        row = site(found, "VZZ10")
        assert (row.postcode, row.cqc, row.provider_name, row.care_kind, row.opened_on, row.provider) == (
            "NM4 7QB", "1-1000000001", "Sample Care Ltd", "care home with nursing", "2020-04-01", "VZZ0",
        )  # fmt: skip
        assert (site(found, "VZZ11").closed_on, row.verified_at is not None) == ("2026-09-30", True)
        again = load(found, "cqc", CQC_HEAD, cqc("VZZ10"))
        assert (again.read, again.new, again.changed) == (1, 0, 0)


def test_what_real_files_have_wrong_is_told_by_line_and_the_rest_goes_in(tmp_path: Path) -> None:
    with kit(tmp_path) as found:
        report = load(found, "ods", ods("VZZ10"), "too,short", ods("not a code"), ods("VZZ12", name=""), ods(HOSPITAL))
        assert (report.new, [line for line, _ in report.problems]) == (1, [2, 3, 4, 0])
        assert site(found, HOSPITAL).kind == "hospital"
        report = load(found, "cqc", CQC_HEAD, cqc(""), cqc("VZZ13", is_home="N"), cqc("VZZ14", nursing=""))
        assert (report.new, len(report.problems)) == (1, 1)
        assert "no ODS code yet" in report.problems[0][1]
        for source, line in (("ods", "nothing"), ("cqc", CQC_HEAD), ("cqc", cqc("VZZ10"))):
            with pytest.raises(Refused, match="import_file"):
                load(found, source, line)


def test_a_sold_home_is_closed_and_its_new_owner_inherits_nothing(tmp_path: Path) -> None:
    with kit(tmp_path) as found:
        load(found, "ods", ods("VZZ10"))
        report = load(found, "ods", ods("VZZ10", provider="VZZ5", phone="01632 960999"))
        assert report.moved == ["VZZ10"]
        row = site(found, "VZZ10")
        assert (row.provider, row.closed_on, row.phone) == ("VZZ0", "2026-11-27", "01632 960200")
        found.story(0, confirmed=False)
        (hold,) = found.exchange.list_holds()
        with pytest.raises(Refused, match="site_closed"):
            found.exchange.confirm_site(hold.stay_id or "", "VZZ10", found.worker)


def test_an_imported_home_gets_keys_and_mailbox_with_its_first_pick(tmp_path: Path) -> None:
    with kit(tmp_path) as found:
        load(found, "ods", ods("VZZ10"))
        assert found.exchange.store.read(lambda uow: uow.count(OrgKey, org="VZZ10")) == 0
        found.story(0, confirmed=False)
        transfer = found.exchange.confirm_site(found.exchange.list_holds()[0].stay_id or "", "VZZ10", found.worker)
        found.drain()
        assert found.exchange.transfer_status(transfer.id, HOSPITAL)["version"] == 1
        assert found.findings() == []


def test_what_an_operator_typed_stays_where_the_directory_is_silent(tmp_path: Path) -> None:
    with kit(tmp_path) as found:
        load(found, "ods", ods(HOME, phone=""))
        assert site(found, HOME).phone == "01632 960111"


@pytest.mark.parametrize(("text", "form"), [("nm47qa", "NM4 7QA"), (" NM4  7QA ", "NM4 7QA"), ("M11AE", "M1 1AE"), ("x", "X"), ("", "")])
def test_a_postcode_has_one_form(text: str, form: str) -> None:
    assert postcode(text) == form
