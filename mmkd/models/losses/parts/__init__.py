"""What losses are made of: modules and functions that are no losses of their own."""
