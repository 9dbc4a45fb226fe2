"""exam: see ARCHITECTURE.md."""
