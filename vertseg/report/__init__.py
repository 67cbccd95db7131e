"""What people see of a run: report, summary, gallery and preview.

It may import measure, stages and all rooms below.
"""
