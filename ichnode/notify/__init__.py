"""The ways a result leaves beside DICOM: webhook, mail, HL7 v2 over MLLP, FHIR; `channels` has them in a table."""
