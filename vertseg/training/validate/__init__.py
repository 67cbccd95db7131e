"""Scores: synthetic and real scans, folds by patient, cross-validation, contact sheets."""
