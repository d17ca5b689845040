"""What destroys: whole indices and single documents. Imported by `bootstrap` alone."""
