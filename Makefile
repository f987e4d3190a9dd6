# Two commands for a newcomer: make demo, make test. Each sets up what it needs in .venv.
.PHONY: help demo test check fix lock bench up
bin := .venv/bin

help:           ## show this list
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*##/\t/'

demo:           ## the whole loop on a simulated lender, in under two minutes; Ctrl-C ends it
	@tools/setup.sh run
	@$(bin)/homeostat demo $(ARGS)

up:             ## server, prediction server and worker on this machine
	@tools/setup.sh run
	@$(bin)/homeostat up $(ARGS)

test:           ## all tests, over real processes, with stock MLflow clients and Evidently
	@tools/setup.sh mlflow3 & three=$$!; tools/setup.sh mlflow2 & two=$$!; \
	  tools/setup.sh evidently & evidently=$$!; \
	  tools/setup.sh test && wait $$three && wait $$two && wait $$evidently
	@$(bin)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

check:          ## style, types, layers
	@tools/setup.sh test
	@$(bin)/ruff format --check .
	@$(bin)/ruff check .
	@$(bin)/mypy
	@$(bin)/lint-imports

fix:            ## what the tools can mend by themselves
	@$(bin)/ruff check --fix . ; $(bin)/ruff format .

lock:           ## renew requirements/*.lock (needs uv)
	@tools/lock.sh

bench:          ## every benchmark, one after the other
	@tools/setup.sh test
	@for b in benchmarks/*.py; do echo "== $$b"; $(bin)/python $$b; done
