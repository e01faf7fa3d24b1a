import type { RuleName } from "../../../components/dockerfileAdvice/advise";

interface Given {
  readonly dockerfile: string;
  readonly files?: readonly string[];
  readonly dockerignore?: string | null;
}

interface Bad extends Given {
  /** Where the finding of the rule is, from 1. */
  readonly line: number;
  /** The Dockerfile when that finding alone is followed. */
  readonly becomes?: string;
}

const lines = (...all: readonly string[]) => `${all.join("\n")}\n`;

const APT_MOUNTS = [
  "RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \\",
  "    --mount=type=cache,target=/var/lib/apt,sharing=locked \\",
];

/** Nothing to advise in any of these. */
export const GOOD: Readonly<Record<string, Given>> = {
  "a cross-compiled Go service": {
    dockerfile: lines(
      "# syntax=docker/dockerfile:1",
      "ARG GO_VERSION=1.26",
      "FROM --platform=$BUILDPLATFORM golang:${GO_VERSION}-alpine AS build",
      "WORKDIR /src",
      "ARG TARGETOS TARGETARCH",
      "RUN --mount=type=cache,target=/go/pkg/mod/ \\",
      "    --mount=type=bind,source=go.sum,target=go.sum \\",
      "    --mount=type=bind,source=go.mod,target=go.mod \\",
      "    go mod download -x",
      "COPY . .",
      "RUN --mount=type=cache,target=/go/pkg/mod/ \\",
      "    --mount=type=cache,target=/root/.cache/go-build \\",
      "    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -o /bin/server ./cmd/server",
      "FROM gcr.io/distroless/static-debian12:nonroot",
      "COPY --from=build /bin/server /bin/server",
      'ENTRYPOINT ["/bin/server"]',
    ),
    files: ["go.mod", "go.sum", "cmd/server/main.go"],
  },
  "a Go service whose modules are in a layer": {
    dockerfile: lines(
      "FROM --platform=$BUILDPLATFORM golang:1.26 AS build",
      "WORKDIR /src",
      "COPY go.mod go.sum ./",
      "RUN go mod download",
      "COPY . .",
      "ARG TARGETARCH",
      "RUN --mount=type=cache,target=/root/.cache/go-build GOARCH=$TARGETARCH go build -o /out/app .",
      "FROM scratch",
      "COPY --from=build /out/app /app",
    ),
    files: ["go.mod", "go.sum", "main.go"],
  },
  "a Go service that needs C": {
    dockerfile: lines(
      "FROM golang:1.26-alpine AS build",
      "RUN apk add --no-cache gcc musl-dev",
      "WORKDIR /src",
      "COPY go.mod go.sum ./",
      "RUN go mod download",
      "COPY . .",
      "RUN --mount=type=cache,target=/root/.cache/go-build CGO_ENABLED=1 go build -o /out/app .",
      "FROM alpine:3.22",
      "COPY --from=build /out/app /app",
    ),
    files: ["go.mod", "go.sum"],
  },
  "a web application with its packages": {
    dockerfile: lines(
      "FROM node:24-slim AS base",
      "WORKDIR /app",
      "FROM base AS deps",
      "COPY package.json package-lock.json ./",
      "RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev",
      "FROM base AS build",
      "COPY package*.json ./",
      "RUN --mount=type=cache,target=/root/.npm npm ci",
      "COPY . .",
      "RUN npm run build",
      "FROM base",
      "USER node",
      "COPY --from=deps /app/node_modules ./node_modules",
      "COPY --from=build /app/dist ./dist",
      'CMD ["node", "dist/main.js"]',
    ),
    files: ["package.json", "package-lock.json", "src/main.ts"],
  },
  "native packages copied out of a build stage": {
    dockerfile: lines(
      "FROM node:24 AS build",
      "WORKDIR /app",
      "COPY package.json package-lock.json ./",
      "RUN --mount=type=cache,target=/root/.npm npm ci",
      "COPY . .",
      "RUN npm run build",
      "FROM node:24-slim",
      "WORKDIR /app",
      "COPY --from=build /app ./",
    ),
    files: ["package.json", "package-lock.json"],
  },
  "a here-document": {
    dockerfile: lines(
      "FROM debian:12",
      "RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked <<EOF",
      "set -e",
      "rm -f /etc/apt/apt.conf.d/docker-clean",
      "apt-get update",
      "apt-get install --yes --no-install-recommends ca-certificates",
      "EOF",
      "COPY <<EOF /etc/motd",
      "npm ci, git clone https://example.com/x and apt-get update are only words here.",
      "EOF",
      "RUN <<EOF cat >/notes",
      "apt-get update",
      "EOF",
    ),
  },
  "packages for another platform": {
    dockerfile: lines(
      "FROM --platform=$BUILDPLATFORM debian:12",
      "RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \\",
      "    --mount=type=cache,target=/var/lib/apt,sharing=locked \\",
      "    rm -f /etc/apt/apt.conf.d/docker-clean; apt-get update && xx-apt-get install -y libc6-dev",
    ),
  },
  "words that only look like commands": {
    dockerfile: lines(
      "FROM debian:12",
      "# RUN apt-get update",
      'RUN echo "npm ci && git clone https://example.com/x" # apt-get install x',
      'LABEL build="RUN go build" token="TOKEN"',
      'CMD ["sh", "-c", "npm ci"]',
    ),
  },
  "Python with uv": {
    dockerfile: lines(
      "FROM python:3.14-slim",
      "COPY --from=ghcr.io/astral-sh/uv:0.9.5 /uv /bin/uv",
      "WORKDIR /app",
      "RUN --mount=type=cache,target=/root/.cache/uv \\",
      "    --mount=type=bind,source=uv.lock,target=uv.lock \\",
      "    --mount=type=bind,source=pyproject.toml,target=pyproject.toml \\",
      "    uv sync --locked --no-install-project",
      "COPY . .",
      "RUN --mount=type=cache,target=/root/.cache/uv uv sync --locked",
    ),
    files: ["pyproject.toml", "uv.lock"],
  },
  "Rust with cargo-chef": {
    dockerfile: lines(
      "FROM --platform=$BUILDPLATFORM lukemathwalker/cargo-chef:0.1.72-rust-1.90 AS chef",
      "WORKDIR /app",
      "FROM chef AS planner",
      "COPY . .",
      "RUN cargo chef prepare --recipe-path recipe.json",
      "FROM chef AS build",
      "COPY --from=planner /app/recipe.json recipe.json",
      "RUN --mount=type=cache,target=/usr/local/cargo/registry cargo chef cook --release",
      "COPY . .",
      "RUN --mount=type=cache,target=/usr/local/cargo/registry cargo build --release",
      "FROM debian:12-slim",
      "COPY --from=build /app/target/release/app /usr/local/bin/",
    ),
    files: ["Cargo.toml", "Cargo.lock", "src/main.rs"],
  },
  "Java with Maven's repository mounted": {
    dockerfile: lines(
      "FROM --platform=$BUILDPLATFORM maven:3.9-eclipse-temurin-25 AS build",
      "WORKDIR /src",
      "COPY . .",
      "RUN --mount=type=cache,target=/root/.m2 mvn --batch-mode package",
      "FROM eclipse-temurin:25-jre",
      "COPY --from=build /src/target/app.jar /app.jar",
    ),
    files: ["pom.xml", "src/main/java/App.java"],
  },
  "secrets that are mounted, and names that are none": {
    dockerfile: lines(
      "FROM node:24-slim",
      "ENV TOKENIZERS_PARALLELISM=false MAX_TOKENS=4000 DB_PASSWORD_FILE=/run/secrets/db",
      "ENV API_TOKEN=/run/secrets/api PASSWORD=",
      "ARG NEXT_PUBLIC_API_KEY",
      "ARG SECRET_KEY_BASE=dummy",
      "RUN --mount=type=secret,id=npm_token,env=NPM_TOKEN npm whoami",
    ),
  },
  "sources that stay": {
    dockerfile: lines(
      "FROM debian:12",
      "ARG VERSION=1.2.3",
      "ADD https://example.com/tool-${VERSION}.tar.gz /opt/",
      "ADD https://github.com/acme/tool.git#v1.2.3 /src",
      `ADD --checksum=sha256:${"0".repeat(64)} https://example.com/latest/tool /bin/tool`,
      "RUN git clone --depth 1 --branch v1.2.3 https://github.com/acme/tool.git",
      "RUN git clone https://github.com/acme/other.git && cd other && git checkout 0123abc",
    ),
  },
  "bases by variable, digest, stage and scratch": {
    dockerfile: lines(
      "ARG BASE=debian:12",
      "ARG GIVEN",
      "FROM ${BASE} AS one",
      "FROM $GIVEN AS two",
      `FROM debian@sha256:${"0".repeat(64)} AS three`,
      "FROM registry.example.com:5000/acme/base:1.0 AS four",
      "FROM one AS five",
      "COPY --from=docs /site /site",
      "FROM scratch",
      "COPY --from=five /etc/hosts /hosts",
      "COPY --from=0 /etc/hosts /other",
    ),
  },
  "a stage chosen by a variable": {
    dockerfile: lines(
      "ARG DEBUG",
      "ARG SUPPORTED=${DEBUG:+yes}",
      "FROM debian:12 AS tools-yes",
      "FROM scratch AS tools-no",
      "FROM tools-${SUPPORTED}",
    ),
  },
  "a test program beside the service": {
    dockerfile: lines(
      "FROM golang:1.26 AS build",
      "COPY main.go .",
      "RUN --mount=type=cache,target=/root/.cache CGO_ENABLED=0 go build -o /out/app .",
      "RUN --mount=type=cache,target=/root/.cache CGO_ENABLED=0 go test -c -o /out/app.test .",
      "FROM debian:12",
      "COPY --from=build /out/ /usr/local/bin/",
    ),
  },
  "an allow list of the context": {
    dockerfile: lines("FROM debian:12", "COPY . /app"),
    dockerignore: "*\n!src\n",
    files: ["package.json", "src/a.js"],
  },
  "a copy that leaves out": {
    dockerfile: lines("FROM debian:12", "COPY --exclude=.git --exclude=**/node_modules . /app"),
    dockerignore: null,
    files: ["package.json"],
  },
  "a copy of one folder": {
    dockerfile: lines("FROM debian:12", "COPY src/ /app/"),
    dockerignore: null,
    files: ["src/a.sh"],
  },
  "triggers for images that build on this one": {
    dockerfile: lines(
      "FROM node:24-slim",
      "WORKDIR /app",
      "ONBUILD COPY package*.json ./",
      "ONBUILD RUN --mount=type=cache,target=/root/.npm npm ci",
      "ONBUILD COPY . .",
    ),
    files: ["package.json", "package-lock.json"],
  },
  "a stage whose packages are of its platform": {
    dockerfile: lines(
      "FROM python:3.14 AS build",
      "WORKDIR /app",
      "COPY requirements.txt ./",
      "RUN --mount=type=cache,target=/root/.cache/pip pip install --target /packages -r requirements.txt",
      "FROM python:3.14-slim",
      "COPY --from=build /packages /packages",
    ),
    files: ["requirements.txt"],
  },
  "a download chosen by the machine": {
    dockerfile: lines(
      "FROM node:24 AS build",
      "WORKDIR /app",
      "COPY package.json ./",
      "RUN --mount=type=cache,target=/root/.npm npm ci",
      "COPY . .",
      "RUN curl -fsSLo /app/dist/tool https://example.com/1.0.0/tool-$(uname -m) && npm run build",
      "FROM nginx:1.29",
      "COPY --from=build /app/dist /usr/share/nginx/html",
    ),
    files: ["package.json"],
  },
  "a user whose home is not known": {
    dockerfile: lines("FROM node:24", "USER build", "RUN npm install --global pnpm@10"),
  },
};

/** For each rule, files in which it finds one thing. */
export const BAD: Readonly<Record<RuleName, Readonly<Record<string, Bad>>>> = {
  "build-platform": {
    "a Go build": {
      line: 2,
      files: ["go.mod", "go.sum"],
      dockerfile: lines(
        "ARG GO=1.26",
        "FROM golang:$GO AS build",
        "WORKDIR /src",
        "COPY go.mod go.sum ./",
        "RUN go mod download",
        "COPY . .",
        "RUN --mount=type=cache,target=/root/.cache/go-build \\",
        "    CGO_ENABLED=0 GOOS=linux \\",
        "    go build -o /usr/local/bin/app .",
        "FROM scratch",
        "COPY --from=build /usr/local/bin/app /app",
      ),
      becomes: lines(
        "ARG GO=1.26",
        "FROM --platform=$BUILDPLATFORM golang:$GO AS build",
        "WORKDIR /src",
        "COPY go.mod go.sum ./",
        "RUN go mod download",
        "COPY . .",
        "ARG TARGETARCH",
        "RUN --mount=type=cache,target=/root/.cache/go-build \\",
        "    CGO_ENABLED=0 GOOS=linux \\",
        "    GOARCH=$TARGETARCH go build -o /usr/local/bin/app .",
        "FROM scratch",
        "COPY --from=build /usr/local/bin/app /app",
      ),
    },
    "a Go build in a here-document for one architecture": {
      line: 1,
      dockerfile: lines(
        "FROM golang:1.26 AS build",
        "COPY main.go .",
        "RUN --mount=type=cache,target=/root/.cache <<EOF",
        "set -e",
        "GOARCH=amd64 go build -o /out/app .",
        "EOF",
        "FROM scratch",
        "COPY --from=build /out/app /app",
      ),
      becomes: lines(
        "FROM --platform=$BUILDPLATFORM golang:1.26 AS build",
        "COPY main.go .",
        "ARG TARGETOS TARGETARCH",
        "RUN --mount=type=cache,target=/root/.cache <<EOF",
        "set -e",
        "CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -o /out/app .",
        "EOF",
        "FROM scratch",
        "COPY --from=build /out/app /app",
      ),
    },
    "a Go build as a list of words": {
      line: 1,
      dockerfile: lines(
        "FROM golang:1.26 AS build",
        "COPY main.go .",
        'RUN --mount=type=cache,target=/root/.cache ["go", "build", "-o", "/out/app", "."]',
        "FROM scratch",
        "COPY --from=build /out/app /app",
      ),
      becomes: lines(
        "FROM --platform=$BUILDPLATFORM golang:1.26 AS build",
        "COPY main.go .",
        "ARG TARGETOS TARGETARCH",
        "ENV CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH",
        'RUN --mount=type=cache,target=/root/.cache ["go", "build", "-o", "/out/app", "."]',
        "FROM scratch",
        "COPY --from=build /out/app /app",
      ),
    },
    assets: {
      line: 1,
      files: ["package.json"],
      dockerfile: lines(
        "FROM node:24 AS assets",
        "WORKDIR /app",
        "COPY package.json ./",
        "RUN --mount=type=cache,target=/root/.npm npm ci",
        "COPY . .",
        "RUN npm run build",
        "FROM nginx:1.29",
        "COPY --from=assets /app/dist /usr/share/nginx/html",
      ),
      becomes: lines(
        "FROM --platform=$BUILDPLATFORM node:24 AS assets",
        "WORKDIR /app",
        "COPY package.json ./",
        "RUN --mount=type=cache,target=/root/.npm npm ci",
        "COPY . .",
        "RUN npm run build",
        "FROM nginx:1.29",
        "COPY --from=assets /app/dist /usr/share/nginx/html",
      ),
    },
    "Java bytecode, through a stage on another": {
      line: 1,
      files: ["pom.xml"],
      dockerfile: lines(
        "FROM maven:3.9 AS tools",
        "FROM tools AS build",
        "WORKDIR /src",
        "COPY . .",
        "RUN --mount=type=cache,target=/root/.m2 mvn package",
        "FROM eclipse-temurin:25-jre",
        "COPY --from=1 /src/target/app.jar /app.jar",
      ),
    },
    ".NET": {
      line: 1,
      files: ["app.csproj"],
      dockerfile: lines(
        "FROM mcr.microsoft.com/dotnet/sdk:10.0 AS build",
        "WORKDIR /src",
        "COPY app.csproj .",
        "RUN --mount=type=cache,target=/root/.nuget/packages dotnet restore",
        "COPY . .",
        "RUN --mount=type=cache,target=/root/.nuget/packages dotnet publish --no-restore -o /out",
        "FROM mcr.microsoft.com/dotnet/aspnet:10.0",
        "COPY --from=build /out /app",
      ),
      becomes: lines(
        "FROM --platform=$BUILDPLATFORM mcr.microsoft.com/dotnet/sdk:10.0 AS build",
        "WORKDIR /src",
        "COPY app.csproj .",
        "ARG TARGETARCH",
        "RUN --mount=type=cache,target=/root/.nuget/packages dotnet restore -a $TARGETARCH",
        "COPY . .",
        "RUN --mount=type=cache,target=/root/.nuget/packages dotnet publish -a $TARGETARCH --no-restore -o /out",
        "FROM mcr.microsoft.com/dotnet/aspnet:10.0",
        "COPY --from=build /out /app",
      ),
    },
    "Rust on Debian": {
      line: 1,
      files: ["Cargo.toml"],
      dockerfile: lines(
        "FROM rust:1.90 AS build",
        "WORKDIR /src",
        "COPY . .",
        "RUN --mount=type=cache,target=/usr/local/cargo/registry cargo build --profile dist",
        "FROM debian:12",
        "COPY --from=build /src/target/dist/app /app",
      ),
    },
    Rust: {
      line: 1,
      files: ["Cargo.toml"],
      dockerfile: lines(
        "FROM rust:1.90-alpine AS build",
        "WORKDIR /src",
        "COPY . .",
        "RUN --mount=type=cache,target=/usr/local/cargo/registry cargo build --locked --release",
        "FROM alpine:3.22",
        "COPY --from=build /src/target/release/app /app",
      ),
      becomes: lines(
        "FROM --platform=$BUILDPLATFORM tonistiigi/xx:1.6.1 AS xx",
        "",
        "FROM --platform=$BUILDPLATFORM rust:1.90-alpine AS build",
        "COPY --from=xx / /",
        "RUN apk add --no-cache clang lld",
        "WORKDIR /src",
        "COPY . .",
        "ARG TARGETPLATFORM",
        "RUN xx-apk add --no-cache xx-c-essentials",
        'RUN --mount=type=cache,target=/usr/local/cargo/registry xx-cargo build --locked --release && rm -rf target/release && ln -s "$(xx-cargo --print-target-triple)/release" target/release',
        "FROM alpine:3.22",
        "COPY --from=build /src/target/release/app /app",
      ),
    },
  },

  "copy-before-install": {
    "npm with the build in the same step": {
      line: 3,
      files: ["package.json", "package-lock.json", "src/a.ts"],
      dockerfile: lines(
        "FROM node:24-slim",
        "WORKDIR /app",
        "COPY --link . .",
        "RUN --mount=type=cache,target=/root/.npm npm ci && \\",
        "    npm run build",
      ),
      becomes: lines(
        "FROM node:24-slim",
        "WORKDIR /app",
        "COPY --link package.json package-lock.json ./",
        "RUN --mount=type=cache,target=/root/.npm npm ci",
        "COPY --link . .",
        "RUN --mount=type=cache,target=/root/.npm npm run build",
      ),
    },
    "npm in a folder": {
      line: 2,
      files: ["web/package.json", "go.mod"],
      dockerfile: lines(
        "FROM node:24-slim",
        "COPY . /src",
        "RUN --mount=type=cache,target=/root/.npm cd /src/web && npm install && npm run build",
      ),
      becomes: lines(
        "FROM node:24-slim",
        "COPY web/package.json /src/web/",
        "RUN --mount=type=cache,target=/root/.npm cd /src/web && \\",
        "    npm install",
        "COPY . /src",
        "RUN --mount=type=cache,target=/root/.npm cd /src/web && \\",
        "    npm run build",
      ),
    },
    "pnpm with packages of a workspace": {
      line: 3,
      files: ["package.json", "pnpm-lock.yaml", "pnpm-workspace.yaml", "packages/a/package.json"],
      dockerfile: lines(
        "FROM node:24-slim",
        "WORKDIR /app",
        "COPY . .",
        "RUN --mount=type=cache,target=/root/.local/share/pnpm/store pnpm install --frozen-lockfile",
      ),
      becomes: lines(
        "FROM node:24-slim",
        "WORKDIR /app",
        "COPY package.json pnpm-lock.yaml pnpm-workspace.yaml ./",
        "COPY packages/a/package.json ./packages/a/",
        "RUN --mount=type=cache,target=/root/.local/share/pnpm/store pnpm install --frozen-lockfile",
        "COPY . .",
      ),
    },
    "pip in a here-document": {
      line: 3,
      files: ["requirements.txt", "app.py"],
      dockerfile: lines(
        "FROM python:3.14-slim",
        "WORKDIR /app",
        "COPY ./ ./",
        "RUN --mount=type=cache,target=/root/.cache/pip <<EOF",
        "set -e",
        "pip install -r requirements.txt",
        "python -m compileall .",
        "EOF",
      ),
      becomes: lines(
        "FROM python:3.14-slim",
        "WORKDIR /app",
        "COPY requirements.txt ./",
        "RUN --mount=type=cache,target=/root/.cache/pip <<EOF",
        "set -e",
        "pip install -r requirements.txt",
        "EOF",
        "COPY ./ ./",
        "RUN --mount=type=cache,target=/root/.cache/pip <<EOF",
        "set -e",
        "python -m compileall .",
        "EOF",
      ),
    },
    Go: {
      line: 3,
      files: ["go.mod", "go.sum", "main.go"],
      dockerfile: lines("FROM golang:1.26", "WORKDIR /src", "COPY . .", "RUN go build -o /app ."),
      becomes: lines(
        "FROM golang:1.26",
        "WORKDIR /src",
        "COPY go.mod go.sum ./",
        "RUN go mod download",
        "COPY . .",
        "RUN go build -o /app .",
      ),
    },
    Cargo: {
      line: 3,
      files: ["Cargo.toml", "Cargo.lock", "src/main.rs"],
      dockerfile: lines("FROM rust:1.90", "WORKDIR /src", "COPY . .", "RUN cargo build --release"),
    },
    Maven: {
      line: 3,
      files: ["pom.xml", "mvnw", ".mvn/wrapper/maven-wrapper.properties"],
      dockerfile: lines(
        "FROM eclipse-temurin:25",
        "WORKDIR /src",
        "COPY . .",
        "RUN ./mvnw package",
      ),
      becomes: lines(
        "FROM eclipse-temurin:25",
        "WORKDIR /src",
        "COPY pom.xml mvnw ./",
        "COPY .mvn ./.mvn/",
        "RUN ./mvnw --batch-mode dependency:go-offline",
        "COPY . .",
        "RUN ./mvnw package",
      ),
    },
    Gradle: {
      line: 3,
      files: ["build.gradle.kts", "settings.gradle.kts"],
      dockerfile: lines("FROM gradle:9", "WORKDIR /src", "COPY . .", "RUN gradle build"),
    },
    Poetry: {
      line: 3,
      files: ["pyproject.toml", "poetry.lock"],
      dockerfile: lines(
        "FROM python:3.14",
        "WORKDIR /src",
        "COPY . .",
        "RUN --mount=type=cache,target=/root/.cache poetry install --only main",
      ),
      becomes: lines(
        "FROM python:3.14",
        "WORKDIR /src",
        "COPY pyproject.toml poetry.lock ./",
        "RUN --mount=type=cache,target=/root/.cache poetry install --only main --no-root",
        "COPY . .",
        "RUN --mount=type=cache,target=/root/.cache poetry install --only main",
      ),
    },
    uv: {
      line: 3,
      files: ["pyproject.toml", "uv.lock"],
      dockerfile: lines(
        "FROM python:3.14",
        "WORKDIR /src",
        "COPY . .",
        "RUN --mount=type=cache,target=/root/.cache/uv uv sync --locked",
      ),
    },
    Bundler: {
      line: 3,
      files: ["Gemfile", "Gemfile.lock"],
      dockerfile: lines(
        "FROM ruby:3.4",
        "WORKDIR /src",
        "COPY . .",
        "RUN --mount=type=cache,target=/usr/local/bundle/cache bundle install",
      ),
    },
    Composer: {
      line: 3,
      files: ["composer.json", "composer.lock"],
      dockerfile: lines(
        "FROM php:8.4",
        "WORKDIR /src",
        "COPY . .",
        "RUN --mount=type=cache,target=/tmp/cache composer install --no-dev",
      ),
    },
    "Yarn, in a trigger": {
      line: 3,
      files: ["package.json", "yarn.lock"],
      dockerfile: lines(
        "FROM node:24",
        "WORKDIR /app",
        "ONBUILD COPY . .",
        "ONBUILD RUN --mount=type=cache,target=/usr/local/share/.cache/yarn yarn",
      ),
      becomes: lines(
        "FROM node:24",
        "WORKDIR /app",
        "ONBUILD COPY package.json yarn.lock ./",
        "ONBUILD RUN --mount=type=cache,target=/usr/local/share/.cache/yarn yarn",
        "ONBUILD COPY . .",
      ),
    },
  },

  "cache-mount": {
    "apt, with its clean-up": {
      line: 2,
      dockerfile: lines(
        "FROM debian:12",
        "RUN apt-get update && \\",
        "    apt-get install -y --no-install-recommends curl && \\",
        "    rm -rf /var/lib/apt/lists/*",
      ),
      becomes: lines(
        "FROM debian:12",
        ...APT_MOUNTS,
        "    rm -f /etc/apt/apt.conf.d/docker-clean && apt-get update && \\",
        "    apt-get install -y --no-install-recommends curl",
      ),
    },
    "npm as another user": {
      line: 5,
      files: ["package.json"],
      dockerfile: lines(
        "FROM node:24",
        "WORKDIR /app",
        "USER node",
        "COPY package.json .",
        "RUN npm ci",
        "COPY . .",
      ),
      becomes: lines(
        "FROM node:24",
        "WORKDIR /app",
        "USER node",
        "COPY package.json .",
        "RUN --mount=type=cache,target=/home/node/.npm,uid=1000,gid=1000 \\",
        "    npm ci",
        "COPY . .",
      ),
    },
    "pip whose cache is switched off": {
      line: 4,
      dockerfile: lines(
        "FROM python:3.14",
        "ENV PIP_NO_CACHE_DIR=1 A=1",
        "COPY requirements.txt .",
        "RUN pip install --no-cache-dir -r requirements.txt",
      ),
      becomes: lines(
        "FROM python:3.14",
        "ENV A=1",
        "COPY requirements.txt .",
        "RUN --mount=type=cache,target=/root/.cache/pip \\",
        "    pip install -r requirements.txt",
      ),
    },
    "go build": {
      line: 5,
      files: ["go.mod"],
      dockerfile: lines(
        "FROM golang:1.26",
        "COPY go.mod .",
        "RUN --mount=type=cache,target=/go/pkg/mod go mod download",
        "COPY . .",
        "RUN go build -o /app .",
      ),
      becomes: lines(
        "FROM golang:1.26",
        "COPY go.mod .",
        "RUN --mount=type=cache,target=/go/pkg/mod go mod download",
        "COPY . .",
        "RUN --mount=type=cache,target=/go/pkg/mod \\",
        "    --mount=type=cache,target=/root/.cache/go-build \\",
        "    go build -o /app .",
      ),
    },
    "cargo build, whose output is copied out": {
      line: 4,
      files: ["Cargo.toml"],
      dockerfile: lines(
        "FROM --platform=$BUILDPLATFORM rust:1.90 AS build",
        "WORKDIR /src",
        "COPY Cargo.toml src ./",
        "RUN cargo build --release",
        "FROM debian:12",
        "COPY --from=build /src/target/release/app /app",
      ),
      becomes: lines(
        "FROM --platform=$BUILDPLATFORM rust:1.90 AS build",
        "WORKDIR /src",
        "COPY Cargo.toml src ./",
        "RUN --mount=type=cache,target=/usr/local/cargo/registry \\",
        "    --mount=type=cache,target=/usr/local/cargo/git/db \\",
        "    --mount=type=cache,target=/src/target \\",
        "    cargo build --release && cp target/release/app /usr/local/bin/",
        "FROM debian:12",
        "COPY --from=build /usr/local/bin/app /app",
      ),
    },
    "Maven in a here-document": {
      line: 2,
      dockerfile: lines("FROM maven:3.9", "RUN <<EOF", "mvn package", "EOF"),
      becomes: lines(
        "FROM maven:3.9",
        "RUN --mount=type=cache,target=/root/.m2 <<EOF",
        "mvn package",
        "EOF",
      ),
    },
    "two tools in one step": {
      line: 2,
      dockerfile: lines(
        "FROM python:3.14",
        "RUN apt-get update && apt-get install -y git && pip install tox",
      ),
    },
    Composer: { line: 2, dockerfile: lines("FROM php:8.4", "RUN composer install") },
    Gradle: { line: 2, dockerfile: lines("FROM gradle:9", "RUN gradle build") },
    Bundler: { line: 2, dockerfile: lines("FROM ruby:3.4", "RUN bundle install") },
    ".NET": {
      line: 2,
      dockerfile: lines("FROM mcr.microsoft.com/dotnet/sdk:10.0", "RUN dotnet restore"),
    },
    Yarn: { line: 2, dockerfile: lines("FROM node:24", "RUN yarn install --immutable") },
    pnpm: { line: 2, dockerfile: lines("FROM node:24", "RUN pnpm install") },
    uv: { line: 2, dockerfile: lines("FROM python:3.14", "RUN uv sync") },
    Poetry: { line: 2, dockerfile: lines("FROM python:3.14", "RUN poetry install") },
    "a list of words": { line: 2, dockerfile: lines("FROM node:24", 'RUN ["npm", "ci"]') },
  },

  dockerignore: {
    "no file at all": {
      line: 2,
      dockerfile: lines("FROM debian:12", "COPY . /app"),
      dockerignore: null,
      files: ["package.json"],
    },
    "a file that lets nested packages through": {
      line: 2,
      dockerfile: lines("FROM debian:12", "COPY . /app"),
      dockerignore: ".git\nnode_modules\n",
      files: ["package.json", "web/package.json"],
    },
    "a file that takes .git back": {
      line: 2,
      dockerfile: lines("FROM debian:12", "ADD . /app"),
      dockerignore: ".g*\n!.git\n",
    },
    "Cargo's output": {
      line: 1,
      dockerfile: lines("FROM debian:12", "ONBUILD COPY . /app"),
      dockerignore: "**/.git\n",
      files: ["Cargo.toml"],
    },
  },

  "build-secret": {
    "a token as build argument": {
      line: 2,
      dockerfile: lines(
        "FROM node:24",
        "ARG NPM_TOKEN",
        "RUN --mount=type=cache,target=/root/.npm \\",
        "    echo //registry.example.com/:_authToken=${NPM_TOKEN} >.npmrc && npm ci",
      ),
      becomes: lines(
        "FROM node:24",
        "RUN --mount=type=secret,id=npm_token,env=NPM_TOKEN \\",
        "    --mount=type=cache,target=/root/.npm \\",
        "    echo //registry.example.com/:_authToken=${NPM_TOKEN} >.npmrc && npm ci",
      ),
    },
    "a password in the environment, among others": {
      line: 2,
      dockerfile: lines(
        "FROM debian:12",
        'ENV A="one two" \\',
        "    DB_PASSWORD=hunter2 \\",
        "    B=2",
      ),
      becomes: lines("FROM debian:12", 'ENV A="one two" B=2'),
    },
    "a token of a known form": {
      line: 2,
      dockerfile: lines(
        "FROM debian:12",
        `RUN curl -H "PRIVATE-TOKEN: glpat-${"a".repeat(20)}" https://example.com`,
      ),
      becomes: lines(
        "FROM debian:12",
        "RUN --mount=type=secret,id=token,env=TOKEN \\",
        '    curl -H "PRIVATE-TOKEN: $TOKEN" https://example.com',
      ),
    },
    "the old form of ENV": {
      line: 2,
      dockerfile: lines("FROM debian:12", "ENV API_KEY abc123"),
      becomes: lines("FROM debian:12"),
    },
  },

  "moving-source": {
    "a clone of a branch": {
      line: 2,
      dockerfile: lines(
        "FROM debian:12",
        "RUN git clone --depth 1 https://github.com/acme/tool.git /src",
      ),
      becomes: lines("FROM debian:12", "ADD https://github.com/acme/tool.git#<commit> /src"),
    },
    "a clone of main, among other commands": {
      line: 2,
      dockerfile: lines(
        "FROM debian:12",
        "RUN git clone -b main https://user:pass@github.com/acme/tool && \\",
        "    cd tool && ./install",
      ),
      becomes: lines(
        "FROM debian:12",
        "ADD https://github.com/acme/tool.git#<commit> tool",
        "RUN cd tool && ./install",
      ),
    },
    "a clone in a folder, whose history is used later": {
      line: 2,
      dockerfile: lines(
        "FROM debian:12",
        "RUN cd /opt && git clone $TOOL_URL tool",
        "RUN cd /opt/tool && git describe",
      ),
      becomes: lines(
        "FROM debian:12",
        "ADD --keep-git-dir=true $TOOL_URL#<commit> /opt/tool",
        "RUN cd /opt",
        "RUN cd /opt/tool && git describe",
      ),
    },
    "ADD of a repository": {
      line: 2,
      dockerfile: lines(
        "FROM debian:12",
        "ADD --keep-git-dir=true https://github.com/acme/tool.git /src",
      ),
      becomes: lines(
        "FROM debian:12",
        "ADD --keep-git-dir=true https://github.com/acme/tool.git#<commit> /src",
      ),
    },
    "ADD of a branch of a repository": {
      line: 2,
      dockerfile: lines("FROM debian:12", "ADD git@github.com:acme/tool.git#main /src"),
    },
    "ADD of what is latest": {
      line: 2,
      dockerfile: lines(
        "FROM debian:12",
        "ADD https://example.com/releases/latest/download/tool /bin/tool",
      ),
      becomes: lines(
        "FROM debian:12",
        "ADD --checksum=sha256:<digest> https://example.com/releases/latest/download/tool /bin/tool",
      ),
    },
  },

  "apt-update-layer": {
    "a layer of its own": {
      line: 2,
      dockerfile: lines("FROM debian:12", "RUN apt-get update", "RUN apt-get install -y curl"),
      becomes: lines("FROM debian:12", "RUN apt-get update && apt-get install -y curl"),
    },
    "a layer with something else, used by a stage on it": {
      line: 2,
      dockerfile: lines(
        "FROM debian:12 AS base",
        "RUN apt-get -qq update && \\",
        "    touch /x",
        "FROM base",
        "RUN apt-get install -y curl",
      ),
      becomes: lines(
        "FROM debian:12 AS base",
        "RUN touch /x",
        "FROM base",
        "RUN apt-get -qq update && apt-get install -y curl",
      ),
    },
  },

  "moving-base-image": {
    "no tag": {
      line: 1,
      dockerfile: lines("FROM --platform=linux/amd64 registry.example.com:5000/acme/base AS x"),
      becomes: lines(
        "FROM --platform=linux/amd64 registry.example.com:5000/acme/base:<version> AS x",
      ),
    },
    latest: {
      line: 2,
      dockerfile: lines("# latest", "FROM debian:latest"),
      becomes: lines("# latest", "FROM debian:<version>"),
    },
    "latest in a variable": {
      line: 2,
      dockerfile: lines("ARG BASE=debian:latest", "FROM ${BASE}"),
      becomes: lines("ARG BASE=debian:<version>", "FROM ${BASE}"),
    },
    "latest in a default": {
      line: 2,
      dockerfile: lines("ARG TAG=latest", "FROM debian:${TAG} AS debian"),
    },
    "an image that is only copied from": {
      line: 2,
      dockerfile: lines(
        "FROM debian:12",
        "COPY --from=composer:latest /usr/bin/composer /bin/composer",
      ),
      becomes: lines(
        "FROM debian:12",
        "COPY --from=composer:<version> /usr/bin/composer /bin/composer",
      ),
    },
    "an image that is only mounted": {
      line: 2,
      dockerfile: lines(
        "FROM debian:12",
        "RUN --mount=type=bind,from=ghcr.io/acme/tool,target=/tool /tool/run",
      ),
    },
  },
};
