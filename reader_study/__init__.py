"""reader_study: see ARCHITECTURE.md."""
