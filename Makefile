# `make` or `make help` lists what there is.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

IMG ?= podferry:latest
REGISTRY_IMG ?=
BUS ?= kubernetes
MODE ?= Live
FORCE ?=
NODE := node_modules/.bin/node
ARCHIVE := dist/image.tar

# Without a KUBECONFIG of your own everything goes to the lab while it is up.
LAB_KUBECONFIG := /var/lib/podferry-lab$(addprefix -,$(PODFERRY_LAB_INSTANCE))/kubeconfig
LAB_REGISTRY := 10.77.0.1:5000
IN_LAB := $(filter $(LAB_KUBECONFIG),$(or $(KUBECONFIG),$(wildcard $(LAB_KUBECONFIG))))
KUBECTL ?= $(if $(IN_LAB),bin/lab kubectl,kubectl)
# Which folder of config/ is installed.
CONFIG ?= $(if $(IN_LAB),lab,default)
APPLY := $(KUBECTL) apply --server-side --force-conflicts --field-manager=podferry -f -

# docker or buildah where one works, else podferry's own writer; the lab's registry is within its network, which only the last enters.
ENGINE ?= $(if $(filter $(LAB_REGISTRY)/%,$(IMG)),own,$(shell \
	if docker info >/dev/null 2>&1; then echo docker; elif buildah info >/dev/null 2>&1; then echo buildah; else echo own; fi))

# Kustomize overlay $(1) with the images asked for. An overlay that renames an image is asked by its new name too.
render = KUBECTL='$(KUBECTL)' $(NODE) src/install/render.ts $(1) podferry=$(IMG) $(LAB_REGISTRY)/podferry=$(IMG) \
	$(if $(REGISTRY_IMG),registry=$(REGISTRY_IMG) $(LAB_REGISTRY)/registry=$(REGISTRY_IMG))

##@ General

.PHONY: help
help: ## Show this help.
	@awk 'BEGIN { FS = ":.*##"; printf "usage: make TARGET [NAME=VALUE …]\n" } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*##/ { printf "  %-18s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: deps ## Move a counter and a redis between two real nodes on this machine. MODE=Image: by image and registry; BUS=kafka: and a real broker.
	bin/lab up
	$(if $(filter kafka,$(BUS)),bin/lab kafka start)
	BUS=$(BUS) MODE=$(MODE) bin/lab enter $(NODE) lab/demo.ts

##@ Development

.PHONY: test
test: deps ## Run all tests: unit, component, end to end (in the lab).
	$(NODE) test/run.ts all

.PHONY: check
check: deps ## Run everything that CI runs but component and end-to-end tests.
	npm run --silent check

.PHONY: chaos
chaos: deps ## Move pods live under blows at every step, see docs/testing.md. RUNS=200 SEED=1 ONLY=text SKIP=0 OWNER=Deployment CONTAINERS=2 RESULTS=file.
	bin/lab up
	bin/lab enter $(NODE) test/chaos/chaos.ts

.PHONY: kills
kills: deps ## kill -9 of every part at every step of moves of a StatefulSet's pod.
	bin/lab up
	PODFERRY_KILLS=all bin/lab enter $(NODE) --test --test-concurrency=1 test/e2e/stateful.e2e.test.ts

.PHONY: compatibility
compatibility: deps ## Move programs and pods of every kind, and write what came of it into docs/compatibility.md.
	rm -f dist/compatibility.jsonl
	bin/lab up
	PODFERRY_COMPATIBILITY=$(CURDIR)/dist/compatibility.jsonl bin/lab enter $(NODE) --test --test-concurrency=1 $(addprefix test/e2e/,$(addsuffix .e2e.test.ts,programs volumes claims containers owners stateful job wrapped preflight preflight-rare))
	$(NODE) test/compatibility/main.ts dist/compatibility.jsonl

.PHONY: moves
moves: deps ## Move one pod there and back until it has moved MOVES=50 times, and count what has grown.
	bin/lab up
	bin/lab enter $(NODE) test/endurance/fifty-moves.ts

.PHONY: bench
bench: deps ## Measure in the lab.
	bin/lab up
	bin/lab enter $(NODE) bench/main.ts

.PHONY: manifests
manifests: deps ## Write config/crd and config/rbac from the code.
	$(NODE) src/api/generate.ts

.PHONY: lab-up
lab-up: deps ## Start the lab: a control plane and two nodes.
	bin/lab up

.PHONY: lab-down
lab-down: deps ## Remove every trace of the lab.
	bin/lab down

##@ Image

.PHONY: docker-build
docker-build: deps ## Build the image IMG with docker or buildah, else with podferry's own writer into dist/image.tar.
ifeq ($(ENGINE),docker)
	docker build -t $(IMG) .
else ifeq ($(ENGINE),buildah)
	buildah build -t $(IMG) .
else
	$(if $(IN_LAB),,bin/lab setup)
	$(NODE) lab/image-archive.ts build $(IMG) $(ARCHIVE)
endif

.PHONY: docker-push
docker-push: deps ## Push the image IMG.
ifeq ($(ENGINE),docker)
	docker push $(IMG)
else ifeq ($(ENGINE),buildah)
	buildah push $(IMG)
else
	$(if $(filter $(LAB_REGISTRY)/%,$(IMG)),bin/lab enter) $(NODE) lab/image-archive.ts push $(IMG) $(ARCHIVE)
endif

##@ Cluster

.PHONY: install
install: manifests ## Install the CRD.
	$(KUBECTL) kustomize config/crd | $(APPLY)

.PHONY: uninstall
uninstall: deps ## Remove the CRD, and with it all Migrations.
	$(KUBECTL) kustomize config/crd | $(KUBECTL) delete --ignore-not-found -f -

.PHONY: deploy
deploy: manifests ## Install podferry with the image IMG. REGISTRY_IMG=…: the registry of the nodes.
	$(call render,$(CONFIG)) | $(APPLY)

.PHONY: undeploy
undeploy: deps ## Remove podferry from the cluster and its nodes. FORCE=1: also from what is not finished.
	KUBECTL='$(KUBECTL)' $(NODE) src/install/undeploy.ts $(CONFIG) $(if $(FORCE),--force)

.PHONY: build-installer
build-installer: manifests ## Write all manifests with the image IMG into dist/install.yaml.
	mkdir -p dist
	$(call render,default) > dist/install.yaml

##@ Dependencies

.PHONY: deps
deps: node_modules/.package-lock.json ## Install npm where it is missing, and the packages of the lockfile.

# npm writes this file last, so that an interrupted installation is done again. It takes the lockfile's versions and leaves the lockfile
# alone. Not `npm ci`: that fails where a registry lacks optional packages of other platforms, which the lockfile then lacks too.
node_modules/.package-lock.json: package-lock.json
	@command -v npm >/dev/null || { apt-get update -q && apt-get install -yq --no-install-recommends npm; } || \
		{ echo 'npm is missing, and apt-get cannot install it here: install Node.js with npm'; exit 1; }
	npm install --no-save
	touch $@
