# podferry in one image: Node 24, the packages of the lockfile, the source as it is. `make docker-build` builds the same without Docker.
FROM node:24-trixie-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev && rm -rf node_modules/node-linux-*

FROM node:24-trixie-slim
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY package.json ./
COPY bin bin
COPY runtime runtime
COPY src src
ENTRYPOINT ["/usr/local/bin/node", "/app/src/main.ts"]
