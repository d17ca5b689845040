"""What no promise reaches, and copies that outlive one."""
