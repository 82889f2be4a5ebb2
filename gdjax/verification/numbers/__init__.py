"""Number systems that a formula is interpreted over: exact, dual, with bounds on rounding, intervals."""
