# Every target is one line; what it does stands in the script of that name.
.DEFAULT_GOAL := help
.PHONY: help run cluster drill test check faults bench bench-cluster

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1|/' | column -t -s '|'

run: ## build and run the service in its embedded mode: no server, no configuration
	@scripts/run $(ARGS)

cluster: ## two nodes with database, Redis, engine and balancer on this machine (EXTERNAL_PORT, INTERNAL_PORT)
	@scripts/cluster

drill: ## strike two nodes with every safe fault and say which alerts fired and cleared in time (ARGS: names of faults)
	@scripts/drill $(ARGS)

test: ## run every test (ARGS go to cargo test)
	@scripts/test $(ARGS)

check: ## format, lints, docs, licences, bans, unused dependencies, migrations
	@scripts/check

faults: ## the fault tests at full length (TEST_RUNS, default 50, TEST_SEED to repeat one)
	@scripts/faults $(ARGS)

bench: ## measure this machine; ARGS="--short" in a tenth of the time
	@scripts/bench $(ARGS)

bench-cluster: ## measure several nodes on PostgreSQL and Redis, beside the product's figures (ARGS as for bench)
	@scripts/bench-cluster $(ARGS)
