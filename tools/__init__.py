"""What builds and tries wheels, beside the package and no part of it."""
