"""What lies past the policy: unclaimed indices, copies, snapshots."""
