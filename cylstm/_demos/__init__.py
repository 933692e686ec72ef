"""Published models at work: what ``cylstm demo`` runs, one module each.

A demo is a module with ``add_to``, which adds its arguments to a parser, and ``run``.
"""

__all__: list[str] = []
