"""Exchange of multi-reader data with iMRMC, RJafroc, MRMCaov and OR-DBM: read, write, and the same data comes back."""
