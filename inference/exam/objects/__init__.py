"""DICOM objects that go with images: Mammography CAD SR, presentation states, key objects, heat maps; in and out."""
