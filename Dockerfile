# podferry in one image: Node 24, the packages of the lockfile, the source without its types. `make docker-build` builds the same without Docker.
FROM node:24-trixie-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev && rm -rf node_modules/node-linux-*

FROM node:24-trixie-slim AS stripped
WORKDIR /app
COPY src src
RUN node --disable-warning=ExperimentalWarning src/install/strip-types.ts /stripped

FROM node:24-trixie-slim
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY package.json ./
COPY runtime runtime
COPY --from=stripped /stripped/src src
# Less memory: two malloc arenas in place of eight a core, and a young generation of 2 MiB.
ENV MALLOC_ARENA_MAX=2 NODE_OPTIONS=--max-semi-space-size=2
ENTRYPOINT ["/usr/local/bin/node", "/app/src/main.js"]
