"""control: see ARCHITECTURE.md."""
