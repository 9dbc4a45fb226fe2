"""preprocessing: see ARCHITECTURE.md."""
