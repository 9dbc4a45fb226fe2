"""The coordinator's screens: one view with pages; what they may do is decided by ``app.control.coordinating``."""
