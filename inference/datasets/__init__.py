"""Turns the published layout of public mammography sets into the manifest: one module a set."""
