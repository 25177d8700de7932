# Python 3.11 or newer, make and PyPI are all that these need. Plain `make` lists them.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo up test kafka clients deploy-tools faults laws fuzz audit check bench bench-analytics accuracy lock kafka-lock schemas robots boards clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

demo: .venv/demo ## Start everything on this machine and play a mail world against it (ARGS=--check: compare and exit)
	@exec $(BIN)/sendlens demo $(ARGS)

up: .venv/demo ## Start everything on this machine, without the mail world
	@exec $(BIN)/sendlens up

# Two files of tests at a time on each core, for half of their time they wait; in the order that tests/conftest.py gives.
FILES_AT_ONCE ?= $(shell $(PYTHON) -c 'import os; print(min(8, 2 * (os.cpu_count() or 2)))')

test: .venv/ready ## Run the whole test suite
	$(BIN)/python -m pytest -n $(FILES_AT_ONCE) --dist loadfile --no-loadscope-reorder $(ARGS)

kafka: .kafka/ready ## Bring Apache Kafka: `make up` then keeps records on disk (44 MB, and 35 for a Java where there is none; ARGS=--central=URL: of a mirror)

clients: ## Bring ClickHouse's clients in Go, Java and JavaScript, and axe, for tests with them (300 MB; needs Go 1.26, Java 17, Maven, Node 20)
	@$(foreach one,$(CLIENTS),$(MAKE) --no-print-directory build/clients/$(one) || echo "Left out: $(one)";)

deploy-tools: .venv/ready build/deploy/helm build/deploy/promtool build/deploy/schemas/ready ## Bring helm, kubeconform and promtool, for tests of deploy/ (2 GB while it builds; needs Go 1.26)

faults: .venv/ready .kafka/ready ## Break each part under a long load on one broker and on three, and count (two to three hours)
	$(BIN)/python -m pytest -m long -s tests/faults tests/test_broker_under_load.py $(ARGS)

laws: .venv/ready ## Try on 2,000 streams that duplicates and kills change no number, and on 100 that counts are right (an hour)
	SENDLENS_LAW_EXAMPLES=2000 $(BIN)/python -m pytest --timeout 3600 tests/agents/test_laws.py $(ARGS)
	SENDLENS_LAW_EXAMPLES=100 $(BIN)/python -m pytest -n 2 --dist loadfile --timeout 3600 \
		tests/clickhouse/test_counting*.py tests/clickhouse/test_views_law.py $(ARGS)

fuzz: .venv/ready ## Put made-up input to all that reads strangers' bytes (ten minutes each; ARGS="--minutes=1 --target=html")
	$(BIN)/python -m tests.fuzz $(ARGS)

audit: .venv/ready ## Ask PyPI for known vulnerabilities of what the lock files pin; says so when it can't be asked
	@$(BIN)/python -m tests.audit || [ $$? -eq 3 ]

check: .venv/ready ## Lint, types, import rules, and what is generated or documented
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests/docs

bench: .venv/ready ## Measure speed, delay and memory; rewrites docs/benchmarks.md (20 min; ARGS=--soak-minutes=0: 8)
	$(BIN)/python -m tests.bench $(ARGS)

bench-analytics: .venv/ready ## Time every board's queries over 100 million events (half an hour, 20 GB; ARGS="--emails=1000000 --before=PAGE": less, beside another commit)
	$(BIN)/python -m tests.bench.analytics $(ARGS)

accuracy: .venv/ready ## Judge the labelled corpus beside other libraries; rewrites docs/accuracy.md (ARGS=--hits: requests too)
	$(BIN)/python -m tests.corpus.accuracy $(ARGS)

schemas: .venv/ready ## Export the JSON Schema of every event to schemas/json/
	$(BIN)/python -m schemas.export

robots: .venv/ready ## Write docs/robots.md from what the rules know by name
	$(BIN)/python -m decisions.robots.listed > docs/robots.md

boards: .venv/ready ## Render the dashboards to dashboards/dist/
	$(BIN)/sendlens boards render

lock: .venv/ready ## Pin today's newest versions of what pyproject.toml names
	$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--all-extras pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		-c requirements.lock pyproject.toml -o requirements-cluster.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--extra embedded --extra world --extra checkout $(UNUSED:%=--no-emit-package %) \
		-c requirements.lock pyproject.toml -o requirements-demo.lock

clean: ## Remove what was built and what the demo left
	rm -rf .venv .kafka var build *.egg-info

# What the embedded ClickHouse's package asks for, for data frames, and nothing here imports: a third of a GB.
UNUSED := numpy pandas pyarrow

PIP_INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check --no-deps

# What the demo runs on; all other targets bring the rest on top of it.
.venv/demo: requirements-demo.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Sendlens needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "No venv module: on Debian, apt-get install python3-venv"; exit 1; }
	@echo "Installing into .venv (about 840 MB, most of it the embedded ClickHouse)"
	$(PIP_INSTALL) --require-hashes -r requirements-demo.lock
	$(PIP_INSTALL) --no-build-isolation -e .
	@touch $@

.venv/ready: requirements.lock .venv/demo
	@echo "Installing what tests and checks need as well (about 790 MB more)"
	$(PIP_INSTALL) --require-hashes -r requirements.lock
	@touch $@

# Each brings what its lock file names, and nothing into the sources.
CLIENTS := go-current go-plugin jdbc-0.9.8/Program.class jdbc-0.10.0/Program.class node/program.mjs openapi/ready axe/ready

build/clients/go-current: tests/clients/go/main.go tests/clients/go/go.mod
	@command -v go >/dev/null || { echo "No Go here: on Debian, apt-get install golang-go"; exit 1; }
	cd tests/clients/go && go build -o $(CURDIR)/$@ .

build/clients/go-plugin: tests/clients/go/main.go tests/clients/go/plugin.mod
	@command -v go >/dev/null || { echo "No Go here: on Debian, apt-get install golang-go"; exit 1; }
	cd tests/clients/go && go build -modfile=plugin.mod -o $(CURDIR)/$@ .

build/clients/jdbc-%/Program.class: tests/clients/jdbc/Program.java tests/clients/jdbc/pom.xml
	@command -v javac >/dev/null && command -v mvn >/dev/null || \
		{ echo "No JDK and Maven here: on Debian, apt-get install default-jdk-headless maven"; exit 1; }
	mvn -q -B -f tests/clients/jdbc/pom.xml dependency:copy-dependencies -Djdbc.version=$* \
		-DincludeScope=runtime -DoutputDirectory=$(CURDIR)/$(@D)/libs
	javac -cp '$(@D)/libs/*' -d $(@D) $<

build/clients/node/program.mjs: tests/clients/node/program.mjs tests/clients/node/package-lock.json
	@command -v npm >/dev/null || { echo "No Node here: on Debian, apt-get install nodejs npm"; exit 1; }
	@mkdir -p $(@D)
	cp tests/clients/node/package.json tests/clients/node/package-lock.json $(@D)
	cd $(@D) && npm ci --silent
	cp $< $@

# What tests of the pages run inside them.
build/clients/axe/ready: tests/dashboards/axe/package-lock.json
	@command -v npm >/dev/null || { echo "No Node here: on Debian, apt-get install nodejs npm"; exit 1; }
	@mkdir -p $(@D)
	cp tests/dashboards/axe/package.json tests/dashboards/axe/package-lock.json $(@D)
	cd $(@D) && npm ci --silent
	@touch $@

# Of Prometheus' tools without the libraries of every cloud, whose targets nobody looks for here.
DEPLOY_TOOLS := tests/deploy/tools
GO_TOOL = cd $(DEPLOY_TOOLS) && go build -tags remove_all_sd,netgo -trimpath -ldflags "-s -w" -o $(CURDIR)/build/deploy/

build/deploy/helm: $(DEPLOY_TOOLS)/go.mod
	@command -v go >/dev/null || { echo "No Go here: on Debian, apt-get install golang-go"; exit 1; }
	$(GO_TOOL) helm.sh/helm/v4/cmd/helm
	@touch $@

build/deploy/kubeconform: $(DEPLOY_TOOLS)/go.mod
	$(GO_TOOL) github.com/yannh/kubeconform/cmd/kubeconform
	@touch $@

build/deploy/promtool: $(DEPLOY_TOOLS)/go.mod
	$(GO_TOOL) github.com/prometheus/prometheus/cmd/promtool
	@touch $@

# What kubeconform checks against: Kubernetes' schemas, and KEDA's.
build/deploy/schemas/ready: $(DEPLOY_TOOLS)/schemas.txt tests/deploy/schemas.py build/deploy/kubeconform
	@mkdir -p $(@D)
	$(BIN)/pip download -q --disable-pip-version-check --require-hashes --no-deps -r $< -d $(@D)
	$(BIN)/python -m tests.deploy.schemas $(@D)/*.whl \
		"$$(go mod download -json github.com/kedacore/keda/v2@v2.21.0 | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')" $(@D)
	@rm $(@D)/*.whl && touch $@

build/clients/openapi/ready: tests/clients/openapi/requirements.lock tests/clients/openapi/package-lock.json
	@command -v npm >/dev/null || { echo "No Node here: on Debian, apt-get install nodejs npm"; exit 1; }
	@mkdir -p $(@D)
	$(PYTHON) -m venv $(@D)/venv
	$(@D)/venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $<
	cp tests/clients/openapi/package.json tests/clients/openapi/package-lock.json $(@D)
	cd $(@D) && npm ci --silent
	@touch $@

.kafka/ready: deploy/kafka/libs.lock deploy/kafka/java.lock .venv/demo
	@rm -rf .kafka
	@$(BIN)/python deploy/kafka/bring.py .kafka $(ARGS)
	@touch $@

# What pom.xml's Kafka runs on, as Maven finds it, without what Maven itself needs.
kafka-lock: .venv/demo ## Pin what the Kafka of deploy/kafka/pom.xml runs on (needs Maven)
	@rm -rf build/kafka
	mvn -q -B -f deploy/kafka/pom.xml dependency:copy-dependencies -DincludeScope=runtime \
		-Dmdep.useRepositoryLayout=true -DoutputDirectory=$(CURDIR)/build/kafka
	$(BIN)/python deploy/kafka/bring.py --lock build/kafka
