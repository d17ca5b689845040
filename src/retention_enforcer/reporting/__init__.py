"""What people and programs read: plans, reports, ledger listings, as tables or JSON."""
