"""What is told of a verification: what failed, where it is to blame, the smallest counterexample, the page."""
