"""Multi-reader multi-case statistics: arrays in, frozen results out, each function citing its source."""
