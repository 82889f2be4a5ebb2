"""What is written over any array namespace, read as an expression: for backends that are not traced themselves."""
