"""The tests; a package, so that tables of cases can be imported as ``tests.backends.cases``."""
