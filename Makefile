# Needs make, git and Python 3.11 or later; everything else goes into .venv.

USERS ?= 100000
MINUTES ?= 15
PORT ?= 8000
ARGS ?=
VENV := .venv/bin/python
MANAGE := $(VENV) manage.py

# A Python named on the command line is obeyed; otherwise an existing .venv is kept.
VENV_WITH = python=$$(PYTHON='$(PYTHON)' sh tools/find_python.sh) && \
	"$$python" tools/make_venv.py $(if $(PYTHON),--this-python)

# The embedded server is stopped again, unless it was in use or started by name, also after a
# failure or a Ctrl-C; the exit status is the first command's.
AFTERWARDS = status=$$?; $(MANAGE) embedded_postgres stop --if-unused || \
	test $$status -ne 0 || status=1; exit $$status

# Tests wait about as much as they compute: two processes for each of two cores. Compiled tests
# are kept, even where the environment says not to: each process collects them in half the time.
# Those of the fast tier hardly wait, and to begin another process takes it longer than it helps.
PYTEST := PYTHONDONTWRITEBYTECODE= $(VENV) -m pytest -n 4 --dist worksteal

.PHONY: help demo serve test test-fast chaos model bench lint clean venv venv-dev

help: ## say what there is
	@echo "make demo [USERS=100000]   rehearse the whole migration and the way back, with a report"
	@echo "make serve [PORT=8000]     the reference site in a browser, with made-up users to log in as"
	@echo "make test [ARGS=...]       run the tests; ARGS goes to pytest"
	@echo "make test-fast [ARGS=...]  one case of each; leaves out what starts processes"
	@echo "                           or takes seconds: chaos, the machine, rehearsals, the browser"
	@echo "make chaos [MINUTES=15]    transitions, kills and crashes under traffic, and a checker"
	@echo "make model                 check docs/protocol.pml, every order of its steps, with Spin"
	@echo "make bench [ARGS=...]      measure a million users beside other ways to do it; an hour"
	@echo "make lint                  check style, types, imports, migrations and their SQL"
	@echo "make clean                 remove .venv, caches, and the embedded server with its data"
	@echo "PYTHON=/path/to/python3    with any of these: the Python to use (3.11 or later)"

demo: venv
	@trap : INT TERM; $(MANAGE) rehearse_prefs --users $(USERS) --noinput; $(AFTERWARDS)

serve: venv
	@trap : INT TERM; $(MANAGE) serve_site --port $(PORT); $(AFTERWARDS)

test: venv-dev
	@trap : INT TERM; $(PYTEST) $(ARGS); $(AFTERWARDS)

test-fast: venv-dev
	@trap : INT TERM; $(PYTEST) -n 3 --fast --durations=10 --durations-min=2 $(ARGS); $(AFTERWARDS)

chaos: venv-dev
	@$(VENV) -m tests.chaos --minutes $(MINUTES) $(ARGS)

model: venv
	@$(VENV) tools/check_model.py $(ARGS)

bench: venv
	@$(VENV) -m benchmarks $(ARGS)

lint: venv-dev
	$(VENV) -m ruff check .
	$(VENV) -m ruff format --check .
	$(VENV) -m mypy
	.venv/bin/lint-imports --no-logo
	@trap : INT TERM; { $(MANAGE) makemigrations --check && $(VENV) tools/lint_sql.py; }; \
	$(AFTERWARDS)

clean:
	@test ! -d .postgres || test -x $(VENV) || { echo "Say 'make venv' first: .postgres" \
		"holds a server that .venv is needed to stop." >&2; exit 1; }
	@test ! -e .postgres/chosen-folder || PREFS_PG_FOLDER="$$(dirname "$$(cat \
		.postgres/chosen-folder)")" $(MANAGE) embedded_postgres remove
	@test ! -d .postgres || $(MANAGE) embedded_postgres remove
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build static
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

venv:
	@$(VENV_WITH) requirements.txt

venv-dev:
	@$(VENV_WITH) requirements-dev.txt
