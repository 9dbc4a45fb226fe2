"""PACS: find, fetch, send and receive images over DICOMweb and DIMSE.

Knows no Qt and no study. What is fetched lies on a shelf of the station as it was stored in the PACS; de-identification
and reading begin from there.
"""
