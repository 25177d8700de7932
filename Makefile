# Python 3.11 or newer, make and PyPI are all that these need. Plain `make` lists them.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo up test kafka faults laws check bench bench-analytics accuracy lock schemas boards clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

demo: .venv/ready ## Start everything on this machine and play a mail world against it (ARGS=--check: compare and exit)
	@exec $(BIN)/sendlens demo $(ARGS)

up: .venv/ready ## Start everything on this machine, without the mail world
	@exec $(BIN)/sendlens up

# Two files of tests at a time, for they mostly wait.
test: .venv/ready ## Run the whole test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

kafka: .kafka/ready ## Bring Apache Kafka, for tests on it (44 MB; needs Java 17 and Maven)

faults: .venv/ready .kafka/ready ## Break each part under a load of 200,000 hits on Apache Kafka, and count (20 minutes)
	$(BIN)/python -m pytest -m long -s tests/faults $(ARGS)

laws: .venv/ready ## Try on 2,000 streams that duplicates and kills change no number (20 minutes)
	SENDLENS_LAW_EXAMPLES=2000 $(BIN)/python -m pytest --timeout 3600 tests/agents/test_laws.py $(ARGS)

check: .venv/ready ## Lint, types, import rules, and what is generated or documented
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/docs

bench: .venv/ready ## Measure speed, delay and memory; rewrites docs/benchmarks.md (20 min; ARGS=--soak-minutes=0: 8)
	$(BIN)/python -m tests.bench $(ARGS)

bench-analytics: .venv/ready ## Time every board's queries over 100 million events (half an hour, 20 GB; ARGS=--emails=1000000: less)
	$(BIN)/python -m tests.bench.analytics $(ARGS)

accuracy: .venv/ready ## Judge the labelled corpus beside other libraries; rewrites docs/accuracy.md
	$(BIN)/python -m tests.corpus.accuracy

schemas: .venv/ready ## Export the JSON Schema of every event to schemas/json/
	$(BIN)/python -m schemas.export

boards: .venv/ready ## Render the dashboards to dashboards/dist/
	$(BIN)/sendlens boards render

lock: .venv/ready ## Pin today's newest versions of what pyproject.toml names
	$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--all-extras pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		-c requirements.lock pyproject.toml -o requirements-cluster.lock

clean: ## Remove what was built and what the demo left
	rm -rf .venv .kafka var build *.egg-info

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Sendlens needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "No venv module: on Debian, apt-get install python3-venv"; exit 1; }
	@echo "Installing into .venv (about 1.3 GB, most of it the embedded ClickHouse)"
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.kafka/ready: tests/kafka/pom.xml
	@command -v java >/dev/null && command -v mvn >/dev/null || \
		{ echo "Apache Kafka needs Java 17 and Maven: on Debian, apt-get install default-jre-headless maven"; exit 1; }
	@rm -rf .kafka
	mvn -q -B -f tests/kafka/pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=$(CURDIR)/.kafka/libs
	@touch $@
