"""What the node takes and how fast it answers, measured beside DCMTK and Orthanc in the same run."""
