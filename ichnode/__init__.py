"""ichnode: a DICOM node that looks for intracranial haemorrhage on head CT. Research use only."""

__version__ = "0.1.0"
