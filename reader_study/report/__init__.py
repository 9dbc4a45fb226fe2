"""The report that goes into a paper: tables, figures and words from arrays; each says how it was made."""
