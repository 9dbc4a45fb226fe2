"""state: see ARCHITECTURE.md."""
