"""Every SQL statement of the migration, named, and rendered from the mapping.

`expressions` turns the mapping into SQL; `documents` holds what the managers run,
`copying` what background work runs, `functions` what expand installs, `catalog` what the
gates and the drain ask PostgreSQL about itself.
"""
