"""Trained systems on users' own files, built from the Modes' declarations alone."""
