#!/bin/sh
# LiteLLM reads no secret files. Each file here becomes an environment variable of this process alone, its name in
# upper case; `docker inspect` does not show it, and no argument list ever holds it.
set -eu
for file in /run/secrets/*; do
  [ -f "$file" ] || continue
  name=$(printf %s "${file##*/}" | tr '[:lower:]' '[:upper:]')
  value=$(cat "$file")
  export "$name=$value"
done
exec "$@"
