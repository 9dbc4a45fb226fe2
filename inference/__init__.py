"""inference: see ARCHITECTURE.md."""
