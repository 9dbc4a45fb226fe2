"""resources: see ARCHITECTURE.md."""
