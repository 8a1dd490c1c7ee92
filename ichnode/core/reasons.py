"""Every stable code the node can give as a reason or a warning, with the sentence that explains it to a person.

The code is for rows, metrics and other programs and never changes its meaning; the sentence is for a radiologist or an
administrator and may be reworded. A test holds that every code used in the package stands here.
"""

from __future__ import annotations

from collections.abc import Mapping

from ichnode.core.findings import Warned

REJECTIONS: Mapping[str, str] = {
    "NOT_CT": "The objects are not CT images.",
    "SCREEN_SAVE": "The objects are screen saves, dose pages or other pictures with text, not CT slices.",
    "LOCALIZER": "The series is a localizer (scout, topogram, surview).",
    "NO_PIXELS": "The objects carry no pixel data.",
    "DERIVED": "The series was calculated from another one (reformat, projection, subtraction, map).",
    "NOT_HOUNSFIELD": "The pixel values are not Hounsfield units.",
    "NOT_AXIAL": "The slices are not axial.",
    "NO_POSITIONS": "The slices do not all say where they lie in the patient, so that they cannot be ordered.",
    "MIXED_GEOMETRY": "The series mixes slices of different orientation, matrix, pixel size or frame of reference.",
    "OVERLAPPING_VOLUMES": "The series holds two or more volumes of the same place.",
    "CONTRAST": "The series was taken with contrast medium, which looks like blood.",
    "NOT_HEAD": "The series does not show a head.",
    "UNKNOWN_BODY_PART": "Nothing in the header names the body part, and the size of the scan is not that of a head.",
    "BONE_KERNEL": "The series was reconstructed with a sharp kernel for bone or lung.",
    "TOO_FEW_SLICES": "The series has too few slices to be read as a head CT.",
    "COVERAGE_TOO_SHORT": "The slices cover too little of the head.",
    "SLICES_TOO_THICK": "The slices are too thick to be read.",
    "SPACING_TOO_WIDE": "The slices lie too far apart to be read.",
    "ANOTHER_SERIES_CHOSEN": "Another series of the same study suits better and was read.",
    "REMNANT": "Only some of the images came again that were read before and removed since; the answer to all stands.",
    "PIXELS_UNREADABLE": "The pixel data of a slice cannot be decoded.",
    "ANALYSIS_FAILED": "The analysis failed repeatedly for a technical reason.",
}
"""Why a series is not analysed."""

NO_ANSWER_EXPECTED = frozenset(
    {
        "NOT_CT", "SCREEN_SAVE", "LOCALIZER", "NO_PIXELS", "DERIVED", "NOT_HOUNSFIELD", "NOT_AXIAL", "NOT_HEAD",
        "UNKNOWN_BODY_PART", "BONE_KERNEL", "ANOTHER_SERIES_CHOSEN",
    }
)  # fmt: skip
"""Reasons of series for which nobody waits: not a head scan to be read, or not the one of its study that is read.

A report says so; a picture of it would be in the way. All other reasons are those of a head CT that somebody may think
was read.
"""

WARNINGS: Mapping[str, str] = {
    "GANTRY_TILT": "The gantry was tilted.",
    "NON_UNIFORM_SPACING": "The slices are not evenly spaced.",
    "SPARSE_SPACING": "The slices lie further apart than they are thick, so that tissue between them was not seen.",
    "GAPS": "Slices are missing inside the scan.",
    "DUPLICATE_POSITIONS": "Some slices lie at the same place; one of each was read.",
    "SHIFTED_SLICES": "Some slices are shifted sideways against their neighbours.",
    "UNUSUAL_VIEW": "The slices are stored mirrored or turned against the usual axial view.",
    "OTHER_IMAGES_SET_ASIDE": "Images that are not slices of the volume were left out.",
    "LIMITED_COVERAGE": "The slices do not cover a whole head.",
    "PARTIAL_SERIES": "Not all slices of the series had arrived.",
    "CONFLICTING_INSTANCE": "The same SOP Instance UID came with different content; the first was used.",
    "MIXED_RESCALE": "The rescale to Hounsfield units changes between slices; each slice was rescaled by its own.",
    "MISSING_RESCALE": "The rescale to Hounsfield units is missing and was assumed.",
    "WRAP_12BIT_REPAIRED": "Negative values had wrapped around in 12 bits and were restored.",
    "MONOCHROME1_INVERTED": "The stored values were inverted (MONOCHROME1) and were turned back.",
    "PADDING_IGNORED": "The padding value lies among tissue values and was not treated as padding.",
    "HU_IMPLAUSIBLE": "No air was found in a slice, so that its Hounsfield units are doubtful.",
    "UNKNOWN_KERNEL": "The reconstruction kernel is missing or not known.",
    "MIXED_KERNELS": "The series mixes soft-tissue and sharp kernels.",
    "BODY_PART_FROM_DESCRIPTION": "That this is a head was concluded from descriptions, not from the body part.",
    "BODY_PART_FROM_SIZE": "Nothing in the header names the body part; the scan has the size of a head.",
    "CONTRAST_UNCLEAR": "The header does not say clearly whether contrast medium was given.",
    "IMAGE_TYPE_UNKNOWN": "The header does not say whether the images are original.",
    "BURNED_IN_ANNOTATION": "The images are marked as having text burned in.",
    "NO_BRAIN_SEEN": "Hardly any tissue of brain density was found inside bone.",
}
"""What was corrected or tolerated, and has to be said beside the result."""

BAD_OBJECTS: Mapping[str, str] = {
    "NOT_DICOM": "The bytes are not a DICOM data set.",
    "TRUNCATED": "The DICOM data set ends in the middle of an element.",
    "BAD_UID": "A Study, Series, SOP Instance or SOP Class UID is missing or not valid.",
    "DICOMDIR": "The file is a DICOM directory, not an image.",
    "IDENTIFIER_LEFT": "Something that identifies the patient stands in an attribute that an export keeps.",
    "SOP_CLASS_MISMATCH": "The data set is of another SOP Class than the request that brought it.",
    "SOP_INSTANCE_MISMATCH": "The data set has another SOP Instance UID than the request that brought it.",
}
"""Why a single object is refused (`ichnode.errors.BadObject`)."""

BAD_REPORTS: Mapping[str, str] = {
    "EVENT_TYPE": "The report is of a type that storage commitment does not have.",
    "REPORT_TOO_LARGE": "The report is longer than any about the objects of this node can be.",
    "NO_INSTANCES": "The report names no object.",
    "UID_INVALID": "The report lacks a UID, or has one that is none.",
    "TRANSACTION_UNKNOWN": "The report is about a transaction that this node never asked for.",
    "TRANSACTION_OF_ANOTHER": "The report comes from another AE title than was asked.",
}
"""Why an archive's report on storage commitment is refused."""

NOT_TO_BE_READ = frozenset(
    {"NOT_CT", "SCREEN_SAVE", "LOCALIZER", "DERIVED", "NOT_AXIAL", "NOT_HOUNSFIELD", "CONTRAST", "NOT_HEAD",
     "BONE_KERNEL", "NO_PIXELS", "NO_POSITIONS", "MIXED_GEOMETRY", "OVERLAPPING_VOLUMES", "SLICES_TOO_THICK"}
)  # fmt: skip
"""Reasons that more slices of the same series do not change: the rest of it is not fetched."""

NOT_FETCHED: Mapping[str, str] = {
    "ARCHIVE_GAVE_LESS": "The archive counts more images than it gives.",
    "ARCHIVE_GAVE_NONE": "The archive lists the series and gives no image of it.",
}
"""Why a series that should have come is not fetched any more."""

DISCONTINUED: Mapping[str, str] = {
    "NO_INPUT": "The work item names no series of DICOM images as its input.",
    "NO_ANSWER": "The input came, and no answer to it stands.",
    "NOT_DELIVERED": "There is a result, but no destination has taken it.",
    "ENDING_REFUSED": "The worklist of the work item did not take it as it ended, again and again.",
}
"""Why a work item ends without an answer, beside the reasons why its series were not fetched or not analysed."""

REASONS: Mapping[str, str] = {**REJECTIONS, **WARNINGS, **BAD_OBJECTS, **BAD_REPORTS, **NOT_FETCHED, **DISCONTINUED}


def because(code: str, detail: str = "") -> Warned:
    """Return the code with its sentence.

    Parameters
    ----------
    code : str
        A key of `REASONS`.
    detail : str, optional
        Facts of the case, appended after a colon: "3 slices, at least 8 are needed". Never a patient's name,
        identifier or birth date.

    Raises
    ------
    KeyError
        If the code is not in the table.
    """
    sentence = REASONS[code]
    return Warned(code, f"{sentence[:-1]}: {detail}." if detail else sentence)


def reason_of(code: str, sentence: str) -> Warned:
    """Return an error's code and sentence as a reason; a code that no reader knows becomes ``ANALYSIS_FAILED``."""
    return Warned(code, sentence) if code in REASONS else because("ANALYSIS_FAILED", sentence.rstrip("."))
