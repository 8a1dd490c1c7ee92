from __future__ import annotations

import pytest

from ichnode.core.lexicon import Contrast, Region, contrast_of, is_given, region_of


@pytest.mark.parametrize(
    "text",
    [
        "HEAD", "CT Head", "CTHead", "HeadSeq", "01_HeadRoutine", "Kopf", "Schädel", "SCHAEDEL", "Neurocranium",
        "cCT", "Tête", "CRANE", "Cerveau", "Cabeza", "Cráneo", "cerebro", "Encéfalo", "Testa", "Cranio", "cervello",
        "Cabeça", "Crânio", "Hoofd", "hersenen", "Brain", "SKULL", "Neuro^Routine", "STROKE",
        "1A TRAUMA/PLAIN HEAD DM /Head",
    ],
)  # fmt: skip
def test_head(text):
    assert region_of(text) is Region.HEAD


@pytest.mark.parametrize(
    "text",
    [
        "NECK", "C-Spine", "CSpine", "HWS", "Hals", "Thorax", "CHEST", "ABDOMEN", "Becken", "Sinus", "NNH",
        "Orbita", "FACIAL BONES", "Gesichtsschädel", "Mandible", "Temporal bones", "Felsenbein", "IAC", "KNEE",
        "Left hand", "Neuro^CSpine", "Cervical", "Coronaries", "Aorta", "PHANTOM",
    ],
)  # fmt: skip
def test_other_regions(text):
    assert region_of(text) is Region.OTHER


@pytest.mark.parametrize("text", ["HEAD AND NECK", "HeadNeck CTA", "Kopf/Hals", "HEAD + ORBITS", "Neuro^HeadCSpine"])
def test_both(text):
    assert region_of(text) is Region.BOTH


@pytest.mark.parametrize("text", [None, "", "5.0 H31s", "ax", "Routine", "POST FOSSA", "TESTING", "handling", "armour"])
def test_no_region(text):
    assert region_of(text) is Region.NOTHING


@pytest.mark.parametrize(
    "text",
    [
        "W/O", "WO CONTRAST", "without contrast", "WITHOUT IV CONTRAST", "NON CON", "NON-CONTRAST", "NONCONTRAST",
        "NCCT", "no contrast", "unenhanced", "PLAIN HEAD", "nativ", "ohne KM", "Kopf ohne Kontrastmittel", "KM-",
        "sans injection", "sans IV", "sin contraste", "Craneo simple", "S/C", "senza mdc", "basale",
        "sem contraste", "zonder contrast", "blanco", "HEAD C-", "Head C- 5.0", "PRE CONTRAST", "PRE", "NECT",
    ],
)  # fmt: skip
def test_plain(text):
    assert contrast_of(text) is Contrast.PLAIN


@pytest.mark.parametrize(
    "text",
    [
        "with contrast", "W CONTRAST", "W/ CONTRAST", "W/CON", "WITH IV CON", "C+", "HEAD +C", "KM", "mit KM",
        "KM+", "+KM", "Kontrastmittel", "CTA", "CT ANGIO", "Angiographie", "Perfusion", "PERF 10.0", "CTV",
        "Venogram", "CE", "CECT", "post contrast", "POST-CON", "post KM", "POST IV", "enhanced", "avec injection",
        "Crâne injecté", "con contraste", "con mdc", "com contraste", "C/C", "met contrast", "contrast",
        "Monitoring", "PreMonitoring", "BOLUS", "VENOUS PHASE", "arterial", "COW",
    ],
)  # fmt: skip
def test_given(text):
    assert contrast_of(text) is Contrast.GIVEN


@pytest.mark.parametrize(
    "text",
    ["W/WO", "W WO CONTRAST", "with and without contrast", "W & W/O", "W/O AND W", "mit und ohne KM", "sans et avec",
     "sin y con contraste", "senza e con mdc", "PRE/POST", "without contrast then with contrast"],
)  # fmt: skip
def test_mixed(text):
    assert contrast_of(text) is Contrast.MIXED


@pytest.mark.parametrize(
    "text", [None, "", "HEAD 5.0 H31s", "C-SPINE", "POST FOSSA", "POST OP", "Coronal", "Skull base", "Monaco", "Weight"]
)
def test_says_nothing_of_contrast(text):
    assert contrast_of(text) is Contrast.NOTHING


@pytest.mark.parametrize(
    "agent", ["Iomeron 400", "OMNIPAQUE", "present", "ISOVUE 370 IV", "CE", "oral and IV", "yes", "1"]
)
def test_an_agent_is_contrast(agent):
    assert is_given(agent)


@pytest.mark.parametrize(
    "agent",
    [
        None,
        "",
        " ",
        "NONE",
        "no",
        "N",
        "0",
        "N/A",
        "No contrast",
        "without",
        "ohne",
        "kein KM",
        "ORAL",
        "oral contrast",
    ],
)
def test_no_agent(agent):
    assert not is_given(agent)
