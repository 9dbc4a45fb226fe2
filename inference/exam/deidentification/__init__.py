"""Takes identity out of DICOM files by PS3.15 Annex E, Basic Application Level Confidentiality Profile."""
