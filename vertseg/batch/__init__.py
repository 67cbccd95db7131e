"""Many scans: find them, share them out, process each one safely and report what happened.

It may import every room but cli and training.
"""
