"""The door to the checker."""

from collections.abc import Sequence
from functools import cache

from exchange.check.issue import Issue
from exchange.check.places import Places
from exchange.check.plan import Plan, Profile
from exchange.check.walk import Walk
from exchange.errors import Refused
from exchange.fhir.r4.tables import Records, TypeTables, read_table


class UnknownProfile(Refused):
    """A profile was asked for that is not compiled in."""

    def __init__(self, url: str) -> None:
        step = "`wardpost profiles list` names those that are; exchange/check/compile.py adds others."
        super().__init__("unknown_profile", f"The profile {url} is not compiled in, so nothing was checked against it.", next_step=step)
        self.url = url


class Checker:
    """Checks resources against R4 and the profiles compiled in. Safe to share between threads: nodes are only ever added."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    @staticmethod
    @cache
    def load(plan: type[Plan] = Plan) -> "Checker":
        """The checker over the shipped tables; loaded once per process."""
        tables = {name: Records(read_table("exchange.check", f"{name}.jsonl.z")) for name in ("r4", "ukcore", "wardpost")}
        return Checker(plan(TypeTables.load(), tables))

    def check(self, resource: dict[str, object], *, profiles: Sequence[str] = ()) -> list[Issue]:
        """Every issue of a resource, in the order of the document; an empty list says that nothing was found, and that nothing went
        unchecked.

        `resource` is FHIR JSON as Python has it (numbers as int, Decimal or float). Each resource is held to the profiles it claims in
        meta.profile,
        the outermost one also to `profiles` (canonicals, a version after `|` is ignored). Raises `UnknownProfile` for one that is not
        compiled in.
        Never raises for what `resource` holds. Bounded: 100 levels, 500,000 objects, 1,000 issues; beyond them an issue of severity
        fatal says so.
        """
        asked: list[Profile] = []
        for url in profiles:
            found = self.plan.profile(url.partition("|")[0])
            if found is None:
                raise UnknownProfile(url)
            asked.append(found)
        walk = Walk(self.plan, Places(resource))
        walk.run(resource, asked)
        return walk.issues
