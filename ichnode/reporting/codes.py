"""Every coded concept that a report uses, in one table.

Sources: DCM codes and context groups from PS3.16 Annexes B and D; SCT from SNOMED CT (no DICOM context group has a
code for intracranial hemorrhage, so these are the nearest pre-coordinated disorders); LN from LOINC. SNOMED codes
carry a Verhoeff check digit, which a test verifies.
"""

from __future__ import annotations

from types import MappingProxyType

from pydicom.sr.coding import Code

HEMORRHAGE = MappingProxyType(
    {
        "any": Code("1386000", "SCT", "Intracranial hemorrhage"),
        # Strictly of the cerebrum; the class also covers cerebellum and brainstem.
        "intraparenchymal": Code("274100004", "SCT", "Cerebral hemorrhage"),
        # 425957003 would exclude trauma, which this network sees most.
        "intraventricular": Code("23276006", "SCT", "Intraventricular hemorrhage"),
        "subarachnoid": Code("21454007", "SCT", "Subarachnoid intracranial hemorrhage"),
        "subdural": Code("35486000", "SCT", "Subdural intracranial hemorrhage"),
        "epidural": Code("82999001", "SCT", "Epidural intracranial hemorrhage"),
    }
)
"""The finding of each class of `ichnode.core.findings.CLASSES`."""

# TID 1500 Measurement Report and what it includes
IMAGING_MEASUREMENT_REPORT = Code("126000", "DCM", "Imaging Measurement Report")
IMAGING_MEASUREMENTS = Code("126010", "DCM", "Imaging Measurements")
MEASUREMENT_GROUP = Code("125007", "DCM", "Measurement Group")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
COMMENT = Code("121106", "DCM", "Comment")

# The report in words: a CAD's summary (no template), with headings of CID 7001 and elements of CID 7002
CAD_SUMMARY = Code("111017", "DCM", "CAD Processing and Findings Summary")
SUMMARY = Code("121111", "DCM", "Summary")
FINDINGS = Code("121070", "DCM", "Findings")
KEY_IMAGES = Code("121180", "DCM", "Key Images")
PROCEDURE_DESCRIPTIONS = Code("121064", "DCM", "Current Procedure Descriptions")
BEST_ILLUSTRATION = Code("121080", "DCM", "Best illustration of finding")  # CID 7003

# TID 2010 Key object selection, titles from CID 7010; IHE IOCM uses the two rejections
OF_INTEREST = Code("113000", "DCM", "Of Interest")
REJECTED_FOR_SAFETY = Code("113037", "DCM", "Rejected for Patient Safety Reasons")
REJECTED_WRONG_PATIENT = Code("113038", "DCM", "Incorrect Modality Worklist Entry")
KEY_OBJECT_DESCRIPTION = Code("113012", "DCM", "Key Object Description")

# TID 1204 Language of content item and descendants
LANGUAGE = Code("121049", "DCM", "Language of Content Item and Descendants")
ENGLISH = Code("en-US", "RFC5646", "English (United States)")

# TID 1002 Observer context, TID 1004 Device observer
OBSERVER_TYPE = Code("121005", "DCM", "Observer Type")
DEVICE = Code("121007", "DCM", "Device")
DEVICE_UID = Code("121012", "DCM", "Device Observer UID")
DEVICE_NAME = Code("121013", "DCM", "Device Observer Name")
DEVICE_MANUFACTURER = Code("121014", "DCM", "Device Observer Manufacturer")
DEVICE_MODEL = Code("121015", "DCM", "Device Observer Model Name")
DEVICE_SERIAL = Code("121016", "DCM", "Device Observer Serial Number")

# CID 100 has no code for a CT of the head; 77477000 SCT and 24725-4 LN are outside it.
PROCEDURE_REPORTED = Code("121058", "DCM", "Procedure reported")
CT_UNSPECIFIED = Code("25045-6", "LN", "CT unspecified body region")

# TID 4019 Algorithm identification
ALGORITHM_NAME = Code("111001", "DCM", "Algorithm Name")
ALGORITHM_VERSION = Code("111003", "DCM", "Algorithm Version")
ALGORITHM_PARAMETERS = Code("111002", "DCM", "Algorithm Parameters")
ALGORITHM_FAMILY = Code("111000", "DCM", "Algorithm Family")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")  # CID 7162

# TID 1501 Measurement and qualitative evaluation group
TRACKING_IDENTIFIER = Code("112039", "DCM", "Tracking Identifier")
TRACKING_UID = Code("112040", "DCM", "Tracking Unique Identifier")
FINDING = Code("121071", "DCM", "Finding")
FINDING_SITE = Code("363698007", "SCT", "Finding Site")
BRAIN = Code("12738006", "SCT", "Brain")  # CID 4
SOURCE_OF_MEASUREMENT = Code("121112", "DCM", "Source of Measurement")  # CID 7551
CERTAINTY = Code("111012", "DCM", "Certainty of Finding")  # CID 6048, 0 to 100 %
PERCENT = Code("%", "UCUM", "Percent")

PRESENCE = Code("705057003", "SCT", "Presence")
PRESENT = Code("52101004", "SCT", "Present")  # CID 240, 241
ABSENT = Code("272519000", "SCT", "Absent")  # CID 240, 241
UNDETERMINED = Code("373068000", "SCT", "Undetermined")  # CID 240

# CID 7005 Contributing equipment purposes of reference
ACQUISITION_EQUIPMENT = Code("109101", "DCM", "Acquisition Equipment")
PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")

# CID 7202 Source image purposes of reference
SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")

# Parametric map of CID 217 Visual explanation, its quantity and units, CID 7203 Image derivation
CLASS_ACTIVATION = Code("130402", "DCM", "Class activation")
QUANTITY = Code("246205007", "SCT", "Quantity")
NO_UNITS = Code("1", "UCUM", "no units")
CALCULATION = Code("112187", "DCM", "Unspecified method of calculation")
