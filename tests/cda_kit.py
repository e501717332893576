"""Small synthetic ClinicalDocuments for tests, from parts: a person who does not exist, sections and entries."""

SNOMED, LOINC = "2.16.840.1.113883.6.96", "2.16.840.1.113883.6.1"
CCDA = "2.16.840.1.113883.10.20.22.4."
PERSON = """<recordTarget><patientRole><id root="2.16.840.1.113883.2.1.4.1" extension="9990000018"/>
<addr use="H"><houseNumber>1</houseNumber><streetAddressLine>Example Row</streetAddressLine><city>Testtown</city>
<postalCode>ZZ99 3CZ</postalCode></addr><telecom value="tel:01632 960999" use="H"/>
<patient><name use="L"><prefix>Mrs</prefix><given>Ada</given><given>May</given><family>Testperson</family></name>
<administrativeGenderCode code="2" codeSystem="2.16.840.1.113883.2.1.3.2.4.16.25"/><birthTime value="193805140000+0100"/></patient>
<providerOrganization><id root="2.16.840.1.113883.2.1.3.2.4.19.1" extension="Y99999"/><name>Sample Surgery</name></providerOrganization>
</patientRole></recordTarget>"""
AUTHOR = """<author><time value="202601141600"/><assignedAuthor><id root="2.16.840.1.113883.2.1.3.2.4.18.24" extension="DR1"/>
<assignedPerson><name><prefix>Dr</prefix><given>Erin</given><family>Example</family></name></assignedPerson></assignedAuthor></author>
<custodian><assignedCustodian><representedCustodianOrganization><id root="2.16.840.1.113883.2.1.3.2.4.19.1" extension="RXX"/>
<name>Example Hospital</name></representedCustodianOrganization></assignedCustodian></custodian>"""
STAY = """<componentOf><encompassingEncounter><id root="2.16.840.1.113883.2.1.3.2.4.18.34" extension="V0001"/>
<effectiveTime><low value="202601100930"/><high value="202601141630"/></effectiveTime>
<location><healthCareFacility><location><name>Ward 6</name></location></healthCareFacility></location>
</encompassingEncounter></componentOf>"""
SIGNED = """<legalAuthenticator><time value="202601141645"/><signatureCode code="S"/><assignedEntity><id nullFlavor="NI"/>
<assignedPerson><name><prefix>Dr</prefix><given>Ivy</given><family>Mockham</family></name></assignedPerson></assignedEntity>
</legalAuthenticator>"""
DISCHARGE = f'<code code="18842-5" codeSystem="{LOINC}" displayName="Discharge summary"/>'


def document(
    *sections: str, head: str = "", kind: str = DISCHARGE, person: str = PERSON, legal: str = "", body: str = "", stay: str = STAY
) -> str:
    """A whole document; `head` stands after its time, `body` in place of the sections."""
    body = body or f"<structuredBody>{''.join(f'<component>{each}</component>' for each in sections)}</structuredBody>"
    return (
        '<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xmlns:sdtc="urn:hl7-org:sdtc">'
        f'<id root="6B1F3C52-8A54-4C0B-9E0D-0B7C1C7E5A01"/>{kind}<title>Discharge summary</title><effectiveTime value="202601141630"/>'
        f"{head}{person}{AUTHOR}{legal}{stay}<component>{body}</component></ClinicalDocument>"
    )


def nhs(kind: str) -> str:
    """The NHS message type."""
    root = "2.16.840.1.113883.2.1.3.2.4.18.17"
    return f'<npfitlc:messageType xmlns:npfitlc="NPFIT:HL7:Localisation" root="{root}" extension="{kind}"/>'


def section(code: str, title: str, text: str, *entries: str, system: str = LOINC, inner: tuple[str, ...] = ()) -> str:
    coded = f'<code code="{code}" codeSystem="{system}"/>' if code else ""
    held = "".join(f"<entry>{entry}</entry>" for entry in entries) + "".join(f"<component>{each}</component>" for each in inner)
    return f"<section>{coded}<title>{title}</title><text>{text}</text>{held}</section>"


def drug(
    name: str, code: str = "", *, status: str = "active", times: str = "", dose: str = "", more: str = "", attributes: str = ""
) -> str:
    """A medication activity."""
    coded = f'<code code="{code}" codeSystem="{SNOMED}" displayName="{name}"/>' if code else f'<code nullFlavor="UNK"/><name>{name}</name>'
    product = f"<consumable><manufacturedProduct><manufacturedMaterial>{coded}</manufacturedMaterial></manufacturedProduct></consumable>"
    return (
        f'<substanceAdministration classCode="SBADM" moodCode="INT" {attributes}><templateId root="{CCDA}16"/>'
        f'<statusCode code="{status}"/>{times}{dose}{product}{more}</substanceAdministration>'
    )


def medicines(*entries: str, text: str = "As coded.") -> str:
    return section("10183-2", "Discharge medicines", text, *entries)


def during(low: str, high: str = "") -> str:
    end = f'<high value="{high}"/>' if high else '<high nullFlavor="NI"/>'
    return f'<effectiveTime xsi:type="IVL_TS"><low value="{low}"/>{end}</effectiveTime>'


def every(value: str, unit: str, to: str = "") -> str:
    period = f'<period value="{value}" unit="{unit}"/>'
    if to:
        period = f'<period xsi:type="IVL_PQ"><low value="{value}" unit="{unit}"/><high value="{to}" unit="{unit}"/></period>'
    return f'<effectiveTime xsi:type="PIVL_TS" operator="A">{period}</effectiveTime>'


def directions(reference: str) -> str:
    """A free-text sig that points into the narrative."""
    return (
        f'<entryRelationship typeCode="COMP"><substanceAdministration classCode="SBADM" moodCode="INT"><templateId root="{CCDA}147"/>'
        f'<code code="76662-6" codeSystem="{LOINC}"/><text><reference value="{reference}"/></text><consumable><manufacturedProduct>'
        '<manufacturedLabeledDrug nullFlavor="NA"/></manufacturedProduct></consumable></substanceAdministration></entryRelationship>'
    )


def problem(name: str, code: str, *, time: str = '<low value="20260102"/>', attributes: str = "", more: str = "") -> str:
    """A problem observation in its concern act."""
    return (
        f'<act classCode="ACT" moodCode="EVN"><templateId root="{CCDA}3"/><statusCode code="completed"/><entryRelationship typeCode="SUBJ">'
        f'<observation classCode="OBS" moodCode="EVN" {attributes}><templateId root="{CCDA}4"/><effectiveTime>{time}</effectiveTime>'
        f'<value xsi:type="CD" code="{code}" codeSystem="{SNOMED}" displayName="{name}"/>{more}</observation></entryRelationship></act>'
    )


def allergy(agent: str, code: str, kind: str = "419511003", *, attributes: str = "", more: str = "") -> str:
    """An allergy observation in its concern act; without an agent it can only be a negated one."""
    coded = f'<code code="{code}" codeSystem="{SNOMED}" displayName="{agent}"/>' if code else '<code nullFlavor="NA"/>'
    return (
        f'<act classCode="ACT" moodCode="EVN"><templateId root="{CCDA}30"/><entryRelationship typeCode="SUBJ">'
        f'<observation classCode="OBS" moodCode="EVN" {attributes}><templateId root="{CCDA}7"/>'
        '<code code="ASSERTION" codeSystem="2.16.840.1.113883.5.4"/><effectiveTime><low value="1998"/></effectiveTime>'
        f'<value xsi:type="CD" code="{kind}" codeSystem="{SNOMED}"/><participant typeCode="CSM"><participantRole><playingEntity>{coded}'
        f"</playingEntity></participantRole></participant>{more}</observation></entryRelationship></act>"
    )


def reaction(name: str, code: str, severity: str) -> str:
    return (
        f'<entryRelationship typeCode="MFST" inversionInd="true"><observation classCode="OBS" moodCode="EVN">'
        f'<value xsi:type="CD" code="{code}" codeSystem="{SNOMED}" displayName="{name}"/><entryRelationship typeCode="SUBJ">'
        f'<observation classCode="OBS" moodCode="EVN"><code code="SEV" codeSystem="2.16.840.1.113883.5.4"/><value xsi:type="CD" '
        f'code="{severity}" codeSystem="{SNOMED}"/></observation></entryRelationship></observation></entryRelationship>'
    )


def procedure(name: str, code: str, *, mood: str = "EVN", attributes: str = "", template: str = f"{CCDA}14", more: str = "") -> str:
    return (
        f'<procedure classCode="PROC" moodCode="{mood}" {attributes}>'
        f'<templateId root="2.16.840.1.113883.2.1.3.2.4.18.2" extension="{template}"/>'
        f'<code code="{code}" codeSystem="{SNOMED}" displayName="{name}"/><statusCode code="completed"/>'
        f'<effectiveTime value="20260111"/>{more}</procedure>'
    )


def distribution_envelope(payload: str) -> str:
    """SOAP around an ITK distribution envelope around a payload."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header/><s:Body>'
        '<itk:DistributionEnvelope xmlns:itk="urn:nhs-itk:ns:201005"><itk:header trackingid="217D1168-7F0B-4F31-A0A9-5B030E545FAE">'
        '<itk:addresslist><itk:address uri="urn:nhs-uk:addressing:ods:Y99999"/></itk:addresslist></itk:header><itk:payloads count="1">'
        f'<itk:payload id="uuid_1">{payload}</itk:payload></itk:payloads></itk:DistributionEnvelope></s:Body></s:Envelope>'
    )
