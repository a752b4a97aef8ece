"""Vector charts, one per file; each is a pure function of plain rows."""
