"""What free text of a header says of body region and contrast medium, in the languages scanners are operated in.

English, German, French, Spanish, Italian, Portuguese and Dutch. Text is compared without accents and case; a compound
("HeadNeck", "CTHead", "SchädelRoutine") is found by its beginning.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum


class Region(StrEnum):
    """Body region that a text names."""

    HEAD = "head"
    OTHER = "other"
    BOTH = "both"
    NOTHING = ""


class Contrast(StrEnum):
    """What a text says of contrast medium."""

    PLAIN = "plain"
    GIVEN = "given"
    MIXED = "mixed"
    NOTHING = ""


_HEAD = re.compile(
    r"\b(?:CT|TC|TDM)?(?:HEAD|KOPF|SCHA?E?DEL|SKULL|BRAIN|CRANI|KRANI|CRANE|NEUROCRAN|CEREB|CERVEAU|CERVELLO|GEHIRN|HIRN"
    r"|ENCEF|ENCEPH|TETE\b|CABEZA|CABECA|TESTA\b|HOOFD|HERSEN|C ?CT\b|CTB\b)"
)
_PERHAPS_HEAD = re.compile(r"\b(?:NEURO|STROKE|ICTUS|AVC\b|SCHLAGANFALL|BEROERTE)")
"""Protocol families that mean the head unless the same text names something else ("Neuro^CSpine")."""
_OTHER = re.compile(
    r"\b(?:CT|TC|TDM)?(?:NECK|HALS|COU\b|CUELLO|COLLO\b|PESCOCO|NEK\b|CERVIC|[CTLS]?SPINE|[HBL]WS\b|WIRBEL|RACHIS|COLUMNA"
    r"|COLONNA|COLUNA|VERTEB|WERVEL|LUMB|CHEST|THORA|TORAX|TORAC|LUNG|POUMON|PULM|POLMON|BRUST|ABD|ADDOM|BAUCH|BUIK"
    r"|PELV|BECKEN|BASSIN|BACINO|BEKKEN|CARDI|HEART|HERZ|CORONAR|SINUS|NNH\b|PNS\b|NASEN|ORBIT|FACE\b|FACIAL|FACIO"
    r"|GESICHT|MAXIL|MANDIB|KIEFER|DENT|ZAHN|TEMPORAL|PETROUS|FELSENB|ROCHER|MASTOID|IAC\b|IAM\b|EAR\b|KNEE|KNIE|HIP\b"
    r"|SHOULDER|SCHULTER|FOOT|FUSS|HAND\b|ANKLE|WRIST|ELBOW|FEMUR|LEGS?\b|ARMS?\b|EXTREM|LIVER|LEBER|KIDNEY|RENAL|COLON"
    r"|AORT|BODY\b|PHANTOM)"
)

_MEDIUM = (
    r"(?:I ?V ?)?(?:CON\w*|KM\b|KONTR\w*|MDC\b|PDC\b|IV\b|INJ\w*|PROD\w*|CM\b|CE\b|C\b|ENH\w*|MEZZO\b|MEIO\b|CIV\b)"
)
_BOTH_WAYS = re.compile(
    r"\bW(?:ITH)?/? ?(?:AND|&|/|\+)? ?W(?:/?O|ITHOUT)\b|\bW(?:/?O|ITHOUT) ?(?:CON\w* )?(?:AND|&|/|\+) ?W(?:ITH|/|\b)"
    r"|\bMIT (?:UND|/|\+) ?OHNE|\bOHNE (?:UND|/|\+) ?MIT|\bSANS (?:ET|PUIS|/) ?AVEC|\bAVEC (?:ET|/) ?SANS"
    r"|\bSIN Y CON|\bCON Y SIN|\bSENZA E CON|\bCON E SENZA|\bSEM E COM|\bCOM E SEM|\bMET EN ZONDER|\bZONDER EN MET"
    r"|\bPRE ?(?:AND|&|/|\+|-|ET|UND)? ?POST\b"
)
_PLAIN = re.compile(
    rf"\b(?:WITHOUT|W/?O|OHNE|SANS|SIN|SENZA|SEM|ZONDER|KEIN\w*|GEEN)\b[ \-]*(?:{_MEDIUM})?|\bNON?[ \-]?{_MEDIUM}"
    r"|\bNCCT\b|\bNCT\b|\bNECT\b|\bNC\b|\bUNENH\w*|\bPLAIN\b|\bNATIV\w*|\bBLANCO\b|\bSIMPLE\b|\bBASALE\b"
    rf"|\bS/ ?C(?:ON\w*|TE)?\b|\bPRE[ \-]?{_MEDIUM}|\bPRE\b(?!-| ?MONIT)"
    r"|\b(?:C|KM|IV|CM|CE)-(?![A-Z0-9])|(?<= )-(?:C|KM|IV|CM|CE)\b"
)
_GIVEN = re.compile(
    r"\b(?:CTA|CTP|CTV|CTPA|CECT|CE|KM|MDC|PDC|CIV|COW|BOLUS|INJ|AVEC)\b|\bENHANCED\b|\b(?:VENOUS|DELAYED)\b"
    r"|\b(?:ANGIO|PERF|VENOGR|ARTERI|CONTRAST|KONTRAST|INJECT|INJIZ|INYECT)\w*|\b(?:PRE)?MONITORING\b"
    rf"|\bW(?:ITH|/)? ?{_MEDIUM}|\bW/(?= |$)|\bMIT {_MEDIUM}|\bPOST[ \-]?{_MEDIUM}"
    r"|\bCO[NM] (?:CONTRAST\w*|MDC|MEZZO|CIV)\b|\bC/ ?C(?:ON\w*|TE)?\b"
    r"|\b(?:C|KM|IV|CM|CE)\+|\+ ?(?:C|KM|IV|CM|CE|MDC)\b"
)
_NO_AGENT = re.compile(r"(?:NO|NONE|N|NA|N/A|NIL|NULL|0|KEIN\w*|AUCUN\w*|NINGUNO|NESSUNO|NENHUM|GEEN|NOT GIVEN|-)")
_NOT_INTRAVENOUS = re.compile(r"\b(?:ORAL|RECTAL|PO|PER ?OS)\b")


def region_of(text: str | None) -> Region:
    """Tell which body region a description, a protocol name or a body part names."""
    letters = re.sub(r"[^A-Z]+", " ", _plain_letters(text))
    head, other = _HEAD.search(letters), _OTHER.search(letters)
    if head and other:
        return Region.BOTH
    if other:
        return Region.OTHER
    return Region.HEAD if head or _PERHAPS_HEAD.search(letters) else Region.NOTHING


def contrast_of(text: str | None) -> Contrast:
    """Tell what a description or protocol name says of contrast medium."""
    words = re.sub(r"[^A-Z0-9+/&\-]+", " ", _plain_letters(text)).strip()
    if _BOTH_WAYS.search(words):
        return Contrast.MIXED
    rest, plain = _PLAIN.subn(" ", words)
    if _GIVEN.search(rest):
        return Contrast.MIXED if plain else Contrast.GIVEN
    return Contrast.PLAIN if plain else Contrast.NOTHING


def is_given(agent: str | None) -> bool:
    """Tell whether a Contrast/Bolus Agent (0018,0010) means contrast medium in the vessels.

    Scanners write "none" or "no contrast" there, and name agents that were drunk.
    """
    words = _plain_letters(agent).strip()
    if not words or _NO_AGENT.fullmatch(words) or contrast_of(words) is Contrast.PLAIN:
        return False
    return not (_NOT_INTRAVENOUS.search(words) and not re.search(r"\bI\.?V\b", words))


def _plain_letters(text: str | None) -> str:
    """Upper case without accents, a space where a word begins inside a word: "SchädelCT" is "SCHADEL CT"."""
    apart = re.sub(r"(?<=[a-zß-ÿ])(?=[A-Z])", " ", text or "")
    return unicodedata.normalize("NFKD", apart).encode("ascii", "ignore").decode("ascii").upper()
