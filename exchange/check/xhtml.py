"""Narrative: the allow-list of txt-1 and the content that txt-2 asks for (R4 narrative.html)."""

import re
from functools import lru_cache

from lxml import etree

from exchange.fhir.r4 import xml


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TAGS = _words(
    "a abbr acronym address area b bdo big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 h4 h5 h6 hr i img kbd"
    " li map ol p pre q samp small span strong sub sup table tbody td tfoot th thead tr tt ul var"
)
_ATTRIBUTES = _words(
    "title style class id idref lang xml:lang xml:space dir accesskey tabindex"  # anywhere
    " span width align valign char charoff abbr axis headers scope rowspan colspan"  # anywhere, meant for tables
)
_OWN = {
    "a": "name href charset type hreflang rel rev shape coords",
    "area": "shape coords href nohref alt",
    "blockquote": "cite",
    "img": "src alt longdesc height width usemap ismap border",
    "map": "name",
    "q": "cite",
    "table": "summary width border frame rules cellspacing cellpadding",
    "td": "nowrap",
}
# XHTML 1.0's content model, as far as renderers trip over it: what these may hold (and no words of their own) ...
_HOLDS = {
    **{"dl": "dt dd", "map": "area", "ol": "li", "ul": "li", "table": "caption col colgroup thead tfoot tbody tr"},
    **{"tbody": "tr", "tfoot": "tr", "thead": "tr", "tr": "th td"},
    **dict.fromkeys(("area", "br", "col", "hr", "img"), ""),
}
# ... where these may stand ...
_HOMES = {
    **dict.fromkeys(("caption", "colgroup", "tbody", "tfoot", "thead"), "table"),
    **{"col": "table colgroup", "dd": "dl", "dt": "dl", "li": "ul ol", "td": "tr", "th": "tr", "tr": "table tbody thead tfoot"},
}
# ... and which elements hold blocks at all.
_FLOW = _words("blockquote colgroup dd div li td th")
_BLOCKS = _words("div ol pre table ul")
_TAG = re.compile(r"<([^<>]*)>")
_TEXT = "[^<&\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]*"
_PLAIN = re.compile(f"{_TEXT}(?:&(?:amp|lt|gt|quot|apos);{_TEXT})*")
_ATTRIBUTE = re.compile(r' ([a-z:]+)="([^"&]*)"')
_OPENING = re.compile(r"""([a-z][a-z0-9]*)((?: [a-z:]+="[^"&\x00-\x1f\ud800-\udfff\ufffe\uffff]*")*) ?(/?)""")
_XMLNS = f' xmlns="{xml.XHTML}"'
_UNSEEN = re.compile(r"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<[^>]*>", re.DOTALL)
_END = ("end",)
_SPACE = " \t\r\n"
_BAD_LINK = re.compile("javascript|vbscript|data:text", re.IGNORECASE)  # of a link without its white space, which browsers skip
NOT_XHTML, ACTIVE, BLANK = "not-xhtml", "txt-1", "txt-2"


def faults(div: str) -> tuple[list[tuple[str, str]], list[str]]:
    """((rule, words) for everything wrong with a narrative, local links that it does not resolve itself); both empty for the usual
    right one.
    """
    return ([], []) if _surely_right(div) else _judge(div)


def _surely_right(div: str) -> bool:
    """The usual narrative, decided without a parser: known tags that pair up and stand where they may, known attributes, some words."""
    parts = _TAG.split(div)
    words = "".join(parts[::2])
    if parts[0] or parts[-1] or not words.strip(_SPACE) or "]]>" in words or not _PLAIN.fullmatch(words):
        return False
    tags = parts[1::2]
    if max(map(len, tags)) > 300:  # not worth keeping
        return False
    state: tuple[str, ...] = ("",)
    for tag, text in zip(tags, parts[2::2], strict=True):
        state = _after(state, tag)
        if not state or (text and state[-1] in _HOLDS and not text.isspace()):
            return False
    return state == _END


@lru_cache(maxsize=4096)
def _after(state: tuple[str, ...], tag: str) -> tuple[str, ...]:
    """The open elements after a tag; none of them when the tag is not surely right."""
    parent = state[-1]
    if tag[:1] == "/":
        return () if tag[1:] != parent else _END if len(state) == 2 else state[:-1]
    match = _OPENING.fullmatch(tag)
    if not match or match[1] not in _TAGS or len(state) > 30 or state == _END:
        return ()
    name, attributes, closed = match.groups()
    if not (_right_place(parent, name) if parent else name == "div" and _XMLNS in attributes and not closed):
        return ()
    found = _ATTRIBUTE.findall(attributes if parent else attributes.replace(_XMLNS, "", 1))
    if len({key for key, _ in found}) != len(found):
        return ()
    if not all(_right_attribute(name, key, value) and value[:1] != "#" for key, value in found):
        return ()
    return state if closed else (*state, name)


def _right_place(parent: str, tag: str) -> bool:
    if parent in _HOLDS and tag not in _HOLDS[parent].split():
        return False
    if tag in _HOMES and parent not in _HOMES[tag].split():
        return False
    if tag in _BLOCKS and parent not in _FLOW:
        return False
    return not (parent == "p" and tag in ("p", "blockquote")) and not (parent == tag == "a")


def _right_attribute(tag: str, name: str, value: str) -> bool:
    if name not in _ATTRIBUTES and name not in _OWN.get(tag, "").split():
        return False
    return name not in ("href", "src", "cite", "longdesc") or not _BAD_LINK.match("".join(value.split()))


def _judge(div: str) -> tuple[list[tuple[str, str]], list[str]]:
    try:
        root = xml.parse(div.encode())
    except UnicodeEncodeError:
        return [(NOT_XHTML, "The narrative holds half of a surrogate pair")], []
    except xml.XmlRefused as error:
        return [(NOT_XHTML, f"The narrative is not well-formed XHTML ({error.code}); named entities such as nbsp are not XML")], []
    if root.tag != f"{{{xml.XHTML}}}div":
        return [(NOT_XHTML, "The narrative is not a div in the namespace http://www.w3.org/1999/xhtml")], []
    found: list[tuple[str, str]] = []
    names: set[str] = set()
    links: list[str] = []
    for node in root.iter(etree.Element):
        tag = etree.QName(node).localname
        if etree.QName(node).namespace != xml.XHTML or tag not in _TAGS:
            found.append((ACTIVE, "An element that narrative may not hold: only basic formatting, links and pictures are allowed"))
            continue
        above = node.getparent()
        if above is not None and not _right_place(etree.QName(above).localname, tag):
            found.append((ACTIVE, f"{tag} may not stand there in XHTML"))
        if tag in _HOLDS and "".join([node.text or "", *[child.tail or "" for child in node]]).strip(_SPACE):
            found.append((ACTIVE, f"{tag} holds no words of its own in XHTML"))
        for key, value in node.attrib.items():
            name = str(key).replace("{http://www.w3.org/XML/1998/namespace}", "xml:")
            if not _right_attribute(tag, name, str(value)):
                found.append((ACTIVE, f"An attribute that narrative may not hold on {tag}: no events, scripts or unknown names"))
            if name in ("id", "name"):
                names.add(str(value))
            elif name in ("href", "src") and str(value)[:1] == "#":
                links.append(str(value)[1:])
    words = "".join(str(text) for text in root.itertext())
    if "<![CDATA[" in div:  # which HTML takes for a comment: most readers show nothing of it
        words = _UNSEEN.sub("", div)
    if not words.strip(_SPACE) and not any(image.get("src") for image in root.iter(f"{{{xml.XHTML}}}img")):
        found.append((BLANK, "The narrative shows nothing: write words or a picture, or leave text out"))
    return list(dict.fromkeys(found)), [link for link in links if link and link not in names]
