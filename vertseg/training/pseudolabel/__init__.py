"""Masks for real scans that have only points, made by the current network and checked."""
