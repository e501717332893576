"""What a person at the ward stated, typed: the members of a Supplement (docs/data-model.md; practice.md 4, a–f and the rules beside).

`None` and "" mean: says nothing. The JSON Schema is the authority on what is allowed; exchange.transfer.supplement checks it first.
"""

import msgspec


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of the members: frozen, unknown names refused, nothing of a person in `repr`."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class Decider(Part, frozen=True):
    name: str = ""
    role: str = ""


class ChangeLine(Part, frozen=True):
    medicine: str
    status: str
    was: str = ""
    now: str = ""
    reason: str = ""
    restart: str = ""


class Changes(Part, frozen=True):
    nothing_changed: bool | None = None
    decided_by: Decider = Decider()
    lines: tuple[ChangeLine, ...] = ()


class Critical(Part, frozen=True, rename={"kind": "class"}):
    """One line of the tick list (c). `last_dose` is a FHIR dateTime; `next_due` as the hospital says it; `note` what else the home has
    to know of it: device, who gives it, hypo plan and last glucose of insulin; INR and next test of a blood thinner."""

    kind: str
    present: bool
    medicine: str = ""
    last_dose: str = ""
    next_due: str = ""
    in_bag: bool | None = None
    plan: str = ""
    note: str = ""


class LastDoses(Part, frozen=True):
    chart_copy_in_bag: bool | None = None


class Controlled(Part, frozen=True):
    count: int | str = ""
    seal: str = ""


class NotInBag(Part, frozen=True):
    medicine: str
    plan: str = ""


class Bag(Part, frozen=True):
    items: int | None = None
    shortest_supply_days: int | None = None
    controlled: Controlled = Controlled()
    missing: tuple[NotInBag, ...] = ()
    nothing_missing: bool | None = None


class Contact(Part, frozen=True):
    """The number that answers now, the medicines line, and who is next."""

    who: str = ""
    phone: str = ""
    hours: str = ""
    medicines_phone: str = ""
    medicines_hours: str = ""
    next_phone: str = ""
    next_who: str = ""


class Allergy(Part, frozen=True):
    agent: str
    reaction: str = ""
    kind: str = ""


class Allergies(Part, frozen=True):
    none_known: bool | None = None
    asked: tuple[str, ...] = ()
    list: tuple[Allergy, ...] = ()


class Infection(Part, frozen=True):
    status: str = ""
    text: str = ""


class Resuscitation(Part, frozen=True):
    form: str = ""
    kind: str = ""
    original_in_bag: bool | None = None
    valid_outside_hospital: bool | None = None


class Nursing(Part, frozen=True):
    same_as_before: bool | None = None
    says: str = ""
    skin: str = ""
    lines: str = ""
    mobility: str = ""
    eating: str = ""
    continence: str = ""
    equipment: str = ""
    catheter: str = ""
    feeding_tube: bool | None = None
    feed: str = ""
    feed_days: int | None = None


class Person(Part, frozen=True):
    """Who comes: `kind` is "returner", "new resident" or "emergency return" (seen in A&E, never admitted). It chooses the rule set.
    `gp`: the practice, or who finds a new one."""

    kind: str = ""
    end_of_life: bool | None = None
    anticipatory: str = ""
    gp: str = ""


class Leaving(Part, frozen=True):
    """What a person promised of the journey, for `day` (a FHIR date): `window` and `transport` in words, `escort` who comes with them."""

    day: str = ""
    window: str = ""
    transport: str = ""
    escort: str = ""


class Plan(Part, frozen=True):
    """`follow_up`: who does what by when, or that there is none; `given`: what was given today and when."""

    follow_up: str = ""
    given: str = ""


class Override(Part, frozen=True):
    """Why papers go with gaps: a key of codes.OVERRIDES, until when the rest is promised (FHIR dateTime), and words."""

    code: str = ""
    promise: str = ""
    note: str = ""


class Stated(Part, frozen=True):
    """All members, each from its newest statement; `None`: nobody stated it."""

    said_at: str = ""
    full_list_in_letter: bool | None = None
    changes: Changes | None = None
    critical: tuple[Critical, ...] | None = None
    last_doses: LastDoses | None = None
    bag: Bag | None = None
    contact: Contact | None = None
    allergies: Allergies | None = None
    infection: Infection | None = None
    resuscitation: Resuscitation | None = None
    nursing: Nursing | None = None
    person: Person | None = None
    leaving: Leaving | None = None
    plan: Plan | None = None
    override: Override | None = None


NURSING_LABELS = {
    "skin": "Skin", "lines": "Lines and tubes", "mobility": "Moving", "eating": "Eating and drinking", "continence": "Continence",
    "equipment": "Equipment", "catheter": "Catheter",
}  # fmt: skip
