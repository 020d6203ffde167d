"""Every file of operations, imported."""

from tests.prefs.differential.operations import asynchronous as asynchronous
from tests.prefs.differential.operations import copies as copies
from tests.prefs.differential.operations import errors as errors
from tests.prefs.differential.operations import forms as forms
from tests.prefs.differential.operations import inheritance as inheritance
from tests.prefs.differential.operations import instances as instances
from tests.prefs.differential.operations import introspection as introspection
from tests.prefs.differential.operations import libraries as libraries
from tests.prefs.differential.operations import loading as loading
from tests.prefs.differential.operations import managers as managers
from tests.prefs.differential.operations import queries as queries
from tests.prefs.differential.operations import querysets as querysets
from tests.prefs.differential.operations import receivers as receivers
from tests.prefs.differential.operations import relations as relations
from tests.prefs.differential.operations import serializers as serializers
from tests.prefs.differential.operations import transactions as transactions
