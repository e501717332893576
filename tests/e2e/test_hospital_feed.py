"""A whole hospital's feeds, by MLLP, folder and HTTP, against a running service, judged by the simulation's truth. fsck is the oracle.

`./dev campaign` makes it bigger by WARDPOST_FEED_STAYS, _SEED and _MORE (options of the simulation).
"""

import os
from pathlib import Path

import pytest

from tests.databases import database_for
from tests.e2e.hospital_kit import HOSPITAL, Judge, Playing, make_feed, profile_of
from tests.service_kit import Service, ServiceOfRoles

pytestmark = pytest.mark.skipif(not HOSPITAL.is_dir(), reason="../shared/hospital is not here")
STAYS, SEED = int(os.environ.get("WARDPOST_FEED_STAYS", "40")), int(os.environ.get("WARDPOST_FEED_SEED", "1"))
QUICK = {"WARDPOST_FOLDER_SECONDS": "0.25"}
MORE = os.environ.get("WARDPOST_FEED_MORE", "").split()
# The second feed is all quirks: most people go to a home, so that each outcome is met by MLLP letters.
QUIRKS = (
    "care_home=0.7", "cancelled_discharge=0.3", "corrected_letter=0.4", "wrong_birth_date=0.2", "recorded_dead=0.1", "late_admission=0.3",
    "draft_first=0.3", "out_of_order=0.1", "twins=0.1", "sold_home=0.1", "placeholder_number=0.1",
)  # fmt: skip


@pytest.mark.parametrize(
    ("seed", "shares"),
    # The second feed needs no services: it is here because `./dev test` is to be over in five minutes.
    [pytest.param(SEED, (), id="usual"), pytest.param(SEED + 1, QUIRKS, id="quirks", marks=pytest.mark.services)],
)
def test_the_feed_of_a_hospital(tmp_path: Path, seed: int, shares: tuple[str, ...]) -> None:
    play_and_judge(Service(tmp_path, more_environ=QUICK), seed, shares)


@pytest.mark.services
def test_the_feed_on_postgresql_with_a_process_per_role(tmp_path: Path, server: str) -> None:
    play_and_judge(ServiceOfRoles(tmp_path, more_environ={**QUICK, "WARDPOST_DATABASE": database_for(tmp_path, server)}), SEED, ())


def play_and_judge(service: Service, seed: int, shares: tuple[str, ...]) -> None:
    # All quirks at half the size: most of them go to a home.
    feed = make_feed(
        service.folder, seed, STAYS // 2 if shares else STAYS, *(part for share in shares for part in ("--share", share)), *MORE
    )
    playing = Playing(service, feed)
    playing.set_up()
    try:
        service.start()
        book = playing.play_with_picks()
        before, kept = playing.resident_megabytes(), playing.count("submission")
        versions = playing.count("version")
        again = playing.play()
        playing.settle()
        after = playing.resident_megabytes()
        assert (playing.count("submission"), playing.count("version")) == (kept, versions), "the same bytes again made something new"
        assert {process.poll() for process in service.processes} == {None}, "a process has ended"
        judge = Judge(playing)
        judge.answers(book)
        judge.answers(again)
        judge.custody()
        judge.letters_at_their_stay("LETTERS")
        judge.stays_and_homes()
    finally:
        code = service.stop()
    assert code == 0
    assert not [path.name for path in playing.watched.iterdir() if path.is_file()]
    assert after < before + 100, "memory is not flat"
    print(f"\nresident memory {before:.0f} MB after the first playing, {after:.0f} MB after the second")
    print("\n".join(f"{number:5} {what}" for what, number in sorted(judge.figures.items())))
    assert not judge.wrong, "\n".join(judge.wrong)
    assert playing.service.cli("fsck").endswith("fsck: clean")


def test_the_profile_says_what_the_directory_says() -> None:
    directory = {
        "senders": {
            "X": {
                "default_charset": "8859/1",
                "zone": "Europe/London",
                "aliases": {"LH1": "SIMH01"},
                "erase_raw_after_days": 14,
                "letter_types": {"DS": "discharge summary", "OPL": "out-patient letter (not used)"},
            }
        },
        "wards": [],
        "discharge_contact": {"name": "Desk", "phone": "1", "out_of_hours": "2"},
    }
    reading = profile_of(directory, "X")["reading"]
    assert isinstance(reading, dict)
    assert (reading["letter_types"], reading["pv1_37"], reading["country"]) == (["DS"], "", "England")
