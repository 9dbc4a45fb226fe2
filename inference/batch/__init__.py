"""Analyses a whole archive: restartable, on several processes or machines, nothing lost and nothing done twice."""
