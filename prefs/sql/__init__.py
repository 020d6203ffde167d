"""Every SQL statement of the migration, named, and rendered from the mapping.

`expressions` turns the mapping into SQL; `documents` holds what the managers run,
`copying` what background work runs, `functions` and `triggers` what expand installs,
`installed` how that looks in the catalogs, `catalog` what the gates and the drain ask
PostgreSQL about itself.
"""
