"""Writing the ledger: intent before, outcome after."""
