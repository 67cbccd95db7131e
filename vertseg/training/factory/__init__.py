"""The factory of synthetic bodies: anatomy, posed bones, tissues and the scanner."""
