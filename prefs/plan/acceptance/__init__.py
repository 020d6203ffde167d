"""The acceptance criteria of the five tasks and of success, each judged by its function.

Those about the past ("was copied", "was read from the tables") stay met after a rollback; those
about the present do not, and the task is in progress again.
"""

from prefs.plan.acceptance.backfill import BACKFILL
from prefs.plan.acceptance.ending import ROLLBACK
from prefs.plan.acceptance.routes import DUAL_WRITE, READS
from prefs.plan.acceptance.schema import SCHEMA
from prefs.plan.acceptance.success import SUCCESS

__all__ = ["BACKFILL", "DUAL_WRITE", "READS", "ROLLBACK", "SCHEMA", "SUCCESS"]
