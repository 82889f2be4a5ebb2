"""What a gradient is tried on: sizes, domains, cases, and how inputs are driven to a branch."""
