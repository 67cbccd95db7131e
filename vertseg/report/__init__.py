"""What a person or a table is shown: report, summary, gallery and preview.

It may import measure, stages and all rooms below.
"""
