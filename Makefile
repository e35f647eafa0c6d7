# Everything that anyone runs here. `make` alone lists it.
#
#   INVENTORY=inventories/mine   the boxes to act on (default: quickstart, this machine)
#   MODEL=llama3.2:3b            what the quickstart serves, also a GGUF file; without it, what suits the machine
#   ARGS="..."                   passed on to the tool behind the target
#   PYTHON=python3.12            the interpreter that .venv is made from
#   PROJECT=other                the Compose project whose logs are shown, if the inventory sets stack_project

.DEFAULT_GOAL := help
SHELL := /bin/sh
ARGS ?=
PROJECT ?= gpubox
# An explicit name is also read in a world-writable directory (WSL2's /mnt/c), where Ansible ignores ./ansible.cfg.
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
# What a run says appears at once in a pipe and a log file, too.
export PYTHONUNBUFFERED := 1
export PYTHON

bin := .venv/bin
# What the quickstart serves is chosen once.
quickstart_model = [ -z "$(MODEL)" ] && [ -e inventories/quickstart/group_vars/all/models.yml ] || $(bin)/python scripts/quickstart_model.py "$(MODEL)"
links := collections/ansible_collections/gpubox/llm
playbook = $(bin)/ansible-playbook $(if $(INVENTORY),-i "$(INVENTORY)") $(ask_sudo) $(ARGS)
# Not root and sudo wants a password: Ansible asks for it once.
ask_sudo = $(shell [ "$$(id -u)" = 0 ] || sudo -n true 2>/dev/null || [ -n "$$ANSIBLE_BECOME_PASSWORD_FILE" ] || echo -K)

##@ Use

.PHONY: up
up: venv ## Set up the box, or bring it to what the inventory says
	@$(if $(INVENTORY),$(if $(MODEL),echo "MODEL is for the quickstart: add it to llm_models in $(INVENTORY)." >&2; exit 1),$(quickstart_model))
	@$(playbook) site.yml

.PHONY: down
down: venv ## Stop and remove it; data and secrets stay (DATA=yes removes them too)
	@$(playbook) playbooks/remove.yml $(if $(filter yes,$(DATA)),--extra-vars '{"stack_remove_data": true}')

.PHONY: logs
logs: ## Follow the logs on this machine (SERVICE=litellm: of one service)
	@$$(docker info >/dev/null 2>&1 || echo sudo) \
		docker compose --project-name "$(PROJECT)" logs --follow --tail 100 $(SERVICE)

##@ Test

.PHONY: test
test: dev ## Run every test (PARTS="lint unit": only those)
	@$(bin)/python tests/tools/run_parts.py $(PARTS)

.PHONY: lint
lint: dev ## Check style, types, YAML, roles, documentation and changelog
	@tests/tools/lint

.PHONY: unit
unit: dev ## Run the pure tests (seconds, no Docker)
	@$(bin)/pytest tests/unit $(ARGS)

.PHONY: sanity
sanity: dev ## Run ansible-test sanity on a copy outside the checkout
	@tests/tools/sanity $(ARGS)

.PHONY: sanity-newest
sanity-newest: dev ## The same with the newest ansible-core, where its Python is at hand
	@tests/tools/sanity newest $(ARGS)

.PHONY: package
package: dev ## Build the tarball, import it as Galaxy would, install and use it elsewhere
	@$(bin)/pytest tests/package $(ARGS)

.PHONY: integration
integration: dev machine ## Run the tests that need a container engine
	@$(bin)/pytest tests/integration tests/contract -n 2 --dist loadfile $(ARGS)

.PHONY: molecule
molecule: dev machine ## Run whole boxes in containers (SCENARIO=quickstart: one)
	@PATH="$(CURDIR)/$(bin):$$PATH" MOLECULE_GLOB='molecule/*/molecule.yml' $(bin)/molecule test $(if $(SCENARIO),--scenario-name $(SCENARIO),--all --workers 2) $(ARGS)

.PHONY: bench
bench: dev machine ## Measure against peers (BENCH=no_op, models: one)
	@for one in $(or $(BENCH),no_op models); do PATH="$(CURDIR)/$(bin):$$PATH" $(bin)/python -m tests.benchmarks.$$one $(ARGS) || exit; done

##@ Maintain

.PHONY: format
format: dev ## Format the Python code and apply safe fixes
	@$(bin)/ruff check --fix . && $(bin)/ruff format .

.PHONY: lock
lock: dev ## Renew the lock files of the Python tools
	@tests/tools/lock

.PHONY: changelog
changelog: dev ## Turn the changelog fragments into a release of CHANGELOG.md
	@PATH="$(CURDIR)/$(bin):$$PATH" antsibull-changelog release $(ARGS)

.PHONY: build
build: dev ## Build the collection's tarball into build/
	@$(bin)/ansible-galaxy collection build --force --output-path build

.PHONY: clean
clean: ## Remove the virtual environment and everything that was built
	@rm -rf .venv .venv.lock build .cache .ansible .mypy_cache .ruff_cache .pytest_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

# What the targets above stand on.

.PHONY: venv
venv: checkout
	@scripts/venv

.PHONY: dev
dev: checkout
	@scripts/venv dev

.PHONY: engine
engine: venv
	@docker compose version >/dev/null 2>&1 && docker info >/dev/null 2>&1 \
		|| $(bin)/ansible-playbook $(ask_sudo) site.yml --tags docker_host

.PHONY: machine
machine: engine
	@tests/tools/machine

.PHONY: checkout
checkout:
	@[ -d "$(links)/roles" ] || { \
		echo "The links in $(links)/ came as plain files, so Ansible cannot find the collection." >&2; \
		echo "Git on this machine does not write links. Let it, and write them again:" >&2; \
		echo "  git config core.symlinks true && git checkout -- collections" >&2; \
		echo "(on Windows: clone inside WSL2, not on a Windows drive)" >&2; exit 1; }
