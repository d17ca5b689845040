"""One cycle: observe, plan, enforce, verify."""
