"""What the tests of a feature are written with."""
