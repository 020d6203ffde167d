"""What an adopter is shipped for the test suite of their own."""
