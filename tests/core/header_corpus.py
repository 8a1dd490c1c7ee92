# ruff: noqa: E501 - one case a line, as a table
"""Series as scanners, archives and anonymisers write them, and what becomes of each.

A case is a name, the facts that differ from a Siemens routine head, the code that rejects it (None: eligible), and the
warnings beside it. Count and step are those of the series.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.core.made import SECONDARY_CAPTURE

SIEMENS = {"manufacturer": "SIEMENS", "model_name": "SOMATOM Definition AS"}
FORCE = {"manufacturer": "Siemens Healthineers", "model_name": "SOMATOM Force", "kernel": ("Hr38f", "3")}
GE = {"manufacturer": "GE MEDICAL SYSTEMS", "kernel": ("SOFT",), "series_description": "Head Std 5mm"}
PHILIPS = {"manufacturer": "Philips", "kernel": ("UB",), "series_description": "STD BRAIN 5MM", "body_part": "BRAIN"}
CANON = {"manufacturer": "TOSHIBA", "kernel": ("FC26",), "series_description": "HEAD 5.0", "body_part": "HEAD"}
UNITED = {"manufacturer": "UIH", "kernel": ("H_SOFT_B",), "series_description": "Head 5.0mm"}
NAMELESS: dict[str, Any] = {"body_part": None, "series_description": None}
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


@dataclass(frozen=True)
class Case:
    """One series and its verdict."""

    name: str
    facts: dict[str, Any]
    code: str | None = None
    warned: set[str] = field(default_factory=set)
    count: int = 30
    step_mm: float = 5.0
    settled: bool | None = None


ROUTINE = [
    Case("Siemens routine", SIEMENS),
    Case("Siemens Force with iteration strength", FORCE),
    Case("Siemens iterative J40s", {**SIEMENS, "kernel": ("J40s", "2")}),
    Case("GE SOFT", GE),
    Case("GE old STD+ with ADD in Image Type", {**GE, "kernel": ("STD+",), "image_type": ("ORIGINAL", "PRIMARY", "AXIAL", "ADD")}),
    Case("GE without a series description", {**GE, "series_description": None, "kernel": ("STANDARD",)}),
    Case("Philips UB", PHILIPS),
    Case("Canon FC26", CANON),
    Case("Canon Genesis, manufacturer renamed", {**CANON, "manufacturer": "CANON_MEC", "kernel": ("FC24",)}),
    Case("United Imaging", UNITED),
    Case("thin slices", {**SIEMENS, "thickness_mm": 0.6}, count=250, step_mm=0.6),
    Case("ten millimetres of an old scanner", {**SIEMENS, "thickness_mm": 10.0}, count=15, step_mm=10.0),
    Case("iterative reconstruction calls itself DERIVED", {**CANON, "image_type": ("DERIVED", "PRIMARY", "AXIAL")}),
    Case("lossy archive calls it DERIVED", {**GE, "image_type": ("DERIVED", "PRIMARY", "AXIAL", "JP2K LOSSY")}),
    Case("enhanced frame type", {**PHILIPS, "image_type": ("ORIGINAL", "PRIMARY", "VOLUME", "NONE")}),
    Case("enhanced kernel group only", {**PHILIPS, "kernel": ("SOFT_TISSUE",)}),
    Case("contrast agent says none", {**GE, "contrast_agent": "NONE"}),
    Case("contrast agent says no contrast", {**GE, "contrast_agent": "No contrast"}),
    Case("contrast was drunk for the abdomen", {**GE, "contrast_agent": "ORAL"}),
    Case("rescale type unspecified", {**GE, "rescale_type": "US"}),
    Case("prone patient", {**SIEMENS, "orientation": (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0)}, warned={"UNUSUAL_VIEW"}),
    Case("oblique to the orbits", {**SIEMENS, "orientation": (1.0, 0.0, 0.0, 0.0, 0.9397, -0.3420)}, warned={"GANTRY_TILT"}),
]  # fmt: skip

LANGUAGES = [
    Case(f"head named in {language}", {**SIEMENS, **NAMELESS, "series_description": text}, warned={"BODY_PART_FROM_DESCRIPTION"})
    for language, text in {
        "English": "Head routine w/o contrast",
        "German": "Schädel nativ 4.8 H31s",
        "German, umlaut spelt out": "SCHAEDEL OHNE KM",
        "French": "Tête sans injection",
        "French, skull": "Crâne 5mm",
        "Spanish": "Cráneo simple",
        "Spanish, head": "CABEZA SIN CONTRASTE",
        "Italian": "Encefalo senza mdc",
        "Italian, head": "Testa basale",
        "Portuguese": "Crânio s/ contraste",
        "Dutch": "Hersenen blanco",
        "Dutch, skull": "HOOFD ZONDER CONTRAST",
        "a compound": "HeadSeq 5.0",
    }.items()
]  # fmt: skip

NAMED_ELSEWHERE = [
    Case("body part of the last patient, head protocol", {**GE, "series_description": None, "body_part": "ABDOMEN", "protocol_name": "Head routine"}, warned={"BODY_PART_FROM_DESCRIPTION"}),
    Case("body part wrong, description right", {**GE, "body_part": "CHEST"}, warned={"BODY_PART_FROM_DESCRIPTION"}),
    Case("only the protocol names the head", {**GE, **NAMELESS, "protocol_name": "Neuro^01_HeadRoutine (Adult)"}, warned={"BODY_PART_FROM_DESCRIPTION"}),
    Case("only the study names the head", {**GE, **NAMELESS, "study_description": "CT BRAIN"}, warned={"BODY_PART_FROM_DESCRIPTION"}),
    Case("study of head and neck, size of a head", {**GE, **NAMELESS, "study_description": "CT HEAD AND C-SPINE"}, warned={"BODY_PART_FROM_SIZE"}),
    Case("anonymised to nothing, size of a head", {**GE, **NAMELESS}, warned={"BODY_PART_FROM_SIZE"}),
    Case("body part HEADNECK", {**GE, "series_description": None, "body_part": "HEADNECK"}),
    Case("protocol of head and neck before a study of the spine", {**GE, **NAMELESS, "protocol_name": "HEAD/C-SPINE", "study_description": "CT C-SPINE"}, warned={"BODY_PART_FROM_SIZE"}),
    Case("stroke protocol", {**GE, **NAMELESS, "protocol_name": "1.1 STROKE"}, warned={"BODY_PART_FROM_DESCRIPTION"}),
]  # fmt: skip

DOUBTFUL = [
    Case("no kernel at all", {**SIEMENS, "kernel": (), "series_description": "HEAD 5.0"}, warned={"UNKNOWN_KERNEL"}),
    Case("a kernel nobody knows", {**SIEMENS, "kernel": ("XYZ",)}, warned={"UNKNOWN_KERNEL"}),
    Case("GE DETAIL", {**GE, "kernel": ("DETAIL",)}, warned={"UNKNOWN_KERNEL"}),
    Case("no image type", {**SIEMENS, "image_type": ()}, warned={"IMAGE_TYPE_UNKNOWN"}),
    Case("no rescale", {**SIEMENS, "rescale_intercept": None, "rescale_slope": None}, warned={"MISSING_RESCALE"}),
    Case("study with and without contrast", {**SIEMENS, "study_description": "CT HEAD W/WO CONTRAST"}, warned={"CONTRAST_UNCLEAR"}),
    Case("plain series of a study with contrast", {**SIEMENS, "study_description": "CTA HEAD", "series_description": "HEAD NON CON 5.0"}),
    Case("series described as with and without", {**SIEMENS, "series_description": "HEAD W & W/O"}, warned={"CONTRAST_UNCLEAR"}),
    Case("stops above the skull base", SIEMENS, warned={"LIMITED_COVERAGE"}, count=20),
    Case("text burned in", {**SIEMENS, "burned_in": "YES"}, warned={"BURNED_IN_ANNOTATION"}),
    Case("gantry tilt by tag", {**SIEMENS, "gantry_tilt_deg": 18.0}, warned={"GANTRY_TILT"}),
    Case("scout in the description of a volume", {**GE, "image_type": ("ORIGINAL", "PRIMARY", "VOLUME"), "series_description": "HEAD after SCOUT"}),
    Case("posterior fossa in the description", {**SIEMENS, "series_description": "HEAD POST FOSSA 5.0"}),
]  # fmt: skip

REJECTED = [
    Case("MR", {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.4", "modality": "MR"}, "NOT_CT", settled=True),
    Case("PET in a CT class", {"modality": "PT"}, "NOT_CT"),
    Case("structured report", {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.88.22", "modality": "SR", "has_pixels": False}, "NOT_CT"),
    Case("secondary capture", {"sop_class_uid": SECONDARY_CAPTURE, "position_mm": None}, "SCREEN_SAVE", settled=True),
    Case("GE dose report in a CT class", {**GE, "image_type": ("DERIVED", "SECONDARY", "SCREEN SAVE")}, "SCREEN_SAVE"),
    Case("Siemens patient protocol", {"image_type": ("DERIVED", "SECONDARY", "OTHER", "CT_SOM5 PROT")}, "SCREEN_SAVE"),
    Case("colour rendering in a CT class", {"samples_per_pixel": 3, "photometric": "RGB"}, "SCREEN_SAVE"),
    Case("topogram", {"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER", "CT_SOM5 TOP"), "orientation": CORONAL}, "LOCALIZER", count=1, settled=True),
    Case("scout by description only", {**GE, "image_type": (), "series_description": "SCOUT", "orientation": SAGITTAL}, "LOCALIZER", count=2),
    Case("surview of a head", {**PHILIPS, "image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, "LOCALIZER", count=1),
    Case("axial slices beside a scout's description", {**GE, "series_description": "SCOUT HEAD"}, "TOO_FEW_SLICES", count=3),
    Case("headers without pixels", {"has_pixels": False}, "NO_PIXELS", settled=False),
    Case("sagittal reformat", {"image_type": ("DERIVED", "SECONDARY", "MPR"), "orientation": SAGITTAL}, "DERIVED", settled=True),
    Case("GE axial reformat", {**GE, "image_type": ("DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE")}, "DERIVED"),
    Case("maximum intensity projection", {"image_type": ("DERIVED", "SECONDARY", "AXIAL", "CT_SOM5 MIP")}, "DERIVED"),
    Case("reformat that calls itself primary", {"image_type": ("DERIVED", "PRIMARY", "MPR", "CT_SOM5 MPR")}, "DERIVED"),
    Case("perfusion map", {"image_type": ("DERIVED", "PRIMARY", "AXIAL", "CBF")}, "DERIVED"),
    Case("virtual non-contrast", {"image_type": ("DERIVED", "PRIMARY", "AXIAL", "VNC")}, "DERIVED"),
    Case("coronal called original", {"orientation": CORONAL}, "NOT_AXIAL", settled=True),
    Case("effective atomic number", {**GE, "rescale_type": "Z_EFF"}, "NOT_HOUNSFIELD"),
    Case("contrast agent named", {"contrast_agent": "Iomeron 400"}, "CONTRAST", settled=True),
    Case("contrast by its sequence", {"contrast_agent": "present"}, "CONTRAST"),
    Case("contrast agent named although the text says plain", {"contrast_agent": "Ultravist 370", "series_description": "HEAD W/O"}, "CONTRAST"),
    Case("angiography by description", {"series_description": "CTA Head 0.75"}, "CONTRAST"),
    Case("with contrast, German", {"series_description": "Kopf mit KM"}, "CONTRAST"),
    Case("with contrast, C+", {"series_description": "HEAD C+ 5.0"}, "CONTRAST"),
    Case("with contrast, French", {"series_description": "Crâne après injection"}, "CONTRAST"),
    Case("with contrast, Spanish", {"series_description": "CRANEO CON CONTRASTE"}, "CONTRAST"),
    Case("perfusion by description", {"series_description": "Head Perfusion 10.0"}, "CONTRAST"),
    Case("post contrast", {"series_description": "BRAIN POST CON"}, "CONTRAST"),
    Case("chest", {**NAMELESS, "body_part": "CHEST"}, "NOT_HEAD", settled=True),
    Case("chest under a protocol of head and neck", {**NAMELESS, "body_part": "CHEST", "protocol_name": "Head and Neck"}, "NOT_HEAD"),
    Case("cervical spine under body part HEAD", {"series_description": "C-SPINE 2.0 Br40"}, "NOT_HEAD"),
    Case("sinuses under body part HEAD", {"series_description": "SINUS 1.0"}, "NOT_HEAD"),
    Case("temporal bone under body part HEAD", {"series_description": "Felsenbein re"}, "NOT_HEAD"),
    Case("abdomen by protocol", {**NAMELESS, "protocol_name": "Abdomen^Routine"}, "NOT_HEAD"),
    Case("knee by study", {**NAMELESS, "study_description": "CT KNEE LEFT"}, "NOT_HEAD"),
    Case("whole body called head", {}, "NOT_HEAD", count=100),
    Case("head and neck, nothing else, too long for a head", {**NAMELESS, "study_description": "CT HEAD NECK"}, "UNKNOWN_BODY_PART", count=60, settled=False),
    Case("anonymised to nothing, body-sized field", {**NAMELESS, "pixel_spacing_mm": (0.9, 0.9)}, "UNKNOWN_BODY_PART"),
    Case("anonymised to nothing, matrix unknown", {**NAMELESS, "rows": None}, "UNKNOWN_BODY_PART"),
    Case("Siemens H60s", {"kernel": ("H60s",)}, "BONE_KERNEL", settled=True),
    Case("Siemens Hr59", {**FORCE, "kernel": ("Hr59h", "3")}, "BONE_KERNEL"),
    Case("GE BONEPLUS", {**GE, "kernel": ("BONEPLUS",)}, "BONE_KERNEL"),
    Case("Philips YA", {**PHILIPS, "kernel": ("YA",), "series_description": "BONE BRAIN 1MM"}, "BONE_KERNEL"),
    Case("Canon FC30", {**CANON, "kernel": ("FC30",)}, "BONE_KERNEL"),
    Case("bone by description only", {"kernel": (), "series_description": "KOPF KNOCHEN 1.0"}, "BONE_KERNEL"),
    Case("no positions", {"position_mm": None}, "NO_POSITIONS", settled=True),
    Case("slabs of 15 mm", {"thickness_mm": 15.0}, "SLICES_TOO_THICK", count=10, step_mm=15.0),
    Case("four slices", {}, "TOO_FEW_SLICES", count=4, settled=False),
    Case("a few thin slices", {"thickness_mm": 1.0}, "COVERAGE_TOO_SHORT", count=20, step_mm=1.0, settled=False),
    Case("slices 20 mm apart", {}, "SPACING_TOO_WIDE", count=9, step_mm=20.0, settled=False),
]  # fmt: skip

CASES = [*ROUTINE, *LANGUAGES, *NAMED_ELSEWHERE, *DOUBTFUL, *REJECTED]
