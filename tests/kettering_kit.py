"""Kettering files for tests: one made-up person, everything that a test varies as an argument."""

import base64


def kettering(
    payload: str | bytes,
    *,
    message: str = "K-1",
    report: str = "R-1",
    number: str = "9990000018",
    born: str = "19380514",
    event: str = "",
    end: str = "",
    service: str = "",
    family: str = "Testperson",
    issued: str = "202611271600",
    extra: str = "",
) -> bytes:
    """One file in UTF-8; text goes into CDATA, bytes into base64; `extra` stands in ClinicalReport."""
    block = base64.encodebytes(payload).decode() if isinstance(payload, bytes) else f"<![CDATA[{payload}]]>"
    kind = f"<ReportedService><ReportedEventItem><ServiceEventType>{service}</ServiceEventType></ReportedEventItem></ReportedService>"
    ended = f"<EventDateEnd>{end}</EventDateEnd>" if end else ""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE ReportMsg SYSTEM "ReportMsg.dtd">
<ReportMsg MsgStatus="Live"><MsgId>{message}</MsgId><MsgIssueDate>{issued}</MsgIssueDate><MsgSender>RZZ01</MsgSender>
<PatientMatchingInfo><PatientId><Id><IdType>Nhs</IdType><IdValue>{number}</IdValue></Id></PatientId>
<PersonName_s><PersonNameType>CU</PersonNameType><StructPersonName><FamilyName>{family}</FamilyName><GivenName>Ada</GivenName></StructPersonName></PersonName_s>
<BirthDate>{born}</BirthDate><Sex>2</Sex></PatientMatchingInfo>{kind if service else ""}
<ClinicalReport><ReportID>{report}</ReportID><ReportType>Discharge Summary</ReportType><ReportCode>DISCH</ReportCode>
<EventDate>{event}</EventDate>
{ended}<DocCreationDate>{issued}</DocCreationDate>{extra}<TextItem><TextBlock>{block}</TextBlock></TextItem></ClinicalReport></ReportMsg>
""".encode()
