"""Writers, operators and background work in every order of their steps, on real connections."""
