# Three stages and an optional one: build with the development tools, take out of the base what only builds need, and one layer
# of what is left: no compiler, no package manager.
# glibc 2.38 or newer (trixie) is what current uWebSockets.js binaries ask for. Node.js 24 is as fast,
# but its V8 lets the main thread take 70 MiB more for short-lived objects.
# For builds that repeat give the base by digest:  --build-arg BASE=node:22-trixie-slim@sha256:…
ARG BASE=node:22-trixie-slim
# For several nodes that run etcd themselves (docs/mesh.md):  --build-arg ETCD=with
ARG ETCD=without
FROM ${BASE} AS etcd-without
RUN mkdir /etcd

FROM ${BASE} AS etcd-with
RUN apt-get update && apt-get install --yes --no-install-recommends etcd-server \
  && mkdir /etcd && cp /usr/bin/etcd /etcd/

FROM etcd-${ETCD} AS etcd

FROM ${BASE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc tsconfig.json ./
RUN npm ci
COPY src ./src
COPY workers ./workers
COPY bench ./bench
COPY deploy/prune-binaries.mjs ./deploy/
RUN npm run build && npm prune --omit=dev && node deploy/prune-binaries.mjs

FROM ${BASE} AS runtime
# The list of installed packages stays in /var/lib/dpkg, for scanners.
RUN rm -rf /usr/local/lib/node_modules /usr/local/include /usr/local/share/doc /usr/local/share/man \
    /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /usr/local/bin/yarn* /opt/yarn* \
    /usr/bin/apt* /usr/lib/apt /etc/apt /var/lib/apt /var/cache/apt \
    /usr/bin/dpkg* /usr/sbin/dpkg* /usr/lib/dpkg /usr/share/doc /usr/share/man
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist/src ./dist/src
COPY --from=build /app/dist/workers ./dist/workers
COPY --from=build /app/dist/ui ./dist/ui
COPY --from=etcd /etcd/ /usr/local/bin/
RUN mkdir -p /var/lib/fastregistry && chown node:node /var/lib/fastregistry \
  && node dist/src/cli.js check-config

FROM scratch
COPY --from=runtime / /
ENV NODE_ENV=production
WORKDIR /app
USER node
VOLUME /var/lib/fastregistry
EXPOSE 5000
STOPSIGNAL SIGTERM
# Asks the server of the configuration that FASTREGISTRY_CONFIG names, whatever its address.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s \
  CMD ["node", "dist/src/cli.js", "health", "live"]
ENTRYPOINT ["node", "dist/src/cli.js"]
# Only a published port reaches a container: who publishes it without auth lets everybody push.
CMD ["serve", "--open"]
