"""DICOM results: the Structured Report, its coded concepts and its words. The only importer of highdicom."""
