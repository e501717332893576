"""`python -m exchange.check FILE…`: the checker alone at a command line."""

import argparse
import sys
from pathlib import Path

from exchange.check import command


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m exchange.check", description="Check FHIR R4 files against R4 and UK Core.")
    parser.add_argument("paths", nargs="*", type=Path, metavar="FILE", help="files, or folders with .json and .xml files")
    parser.add_argument("--format", choices=command.FORMATS, default="text")
    parser.add_argument("--profile", action="append", default=[], metavar="URL", help="hold each file to this profile, too")
    parser.add_argument("--with-values", action="store_true", help="quote what stands at each issue: it may be a person's data")
    parser.add_argument("--list-profiles", nargs="?", const="", metavar="WORD", help="name the profiles compiled in")
    parser.add_argument("--show-profile", metavar="URL")
    chosen = parser.parse_args(arguments)
    if chosen.list_profiles is not None:
        return command.list_profiles(sys.stdout.write, chosen.list_profiles)
    if chosen.show_profile:
        return command.show_profile(chosen.show_profile, sys.stdout.write)
    if not chosen.paths:
        parser.error("name a file or a folder")
    return command.check(chosen.paths, form=chosen.format, profiles=chosen.profile, values=chosen.with_values, write=sys.stdout.write)


if __name__ == "__main__":
    sys.exit(main())
