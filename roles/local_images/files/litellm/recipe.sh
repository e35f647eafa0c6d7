# shellcheck shell=sh
# Runs inside the new root, as root, in a directory that is gone afterwards (files of the recipe, ca.crt).
# Lines that begin with "==> " are shown to the user as the step being worked at.
pick() { sed -n '/^uv==/,/[^\\]$/'"$1" requirements.txt; }

echo "==> fetching the Python installer"
pick p > uv.txt
set -- /usr/share/python-wheels/pip-*.whl
python3 "$1/pip" --disable-pip-version-check --no-cache-dir install --quiet \
  --require-hashes --no-deps --target uv -r uv.txt

echo "==> installing Python packages"
sed '/^uv==/,/[^\\]$/d' requirements.txt > packages.txt
uv/bin/uv venv --quiet --no-config --python /usr/bin/python3 /app/.venv
uv/bin/uv pip install --quiet --no-config --no-cache --python /app/.venv/bin/python \
  --require-hashes --only-binary :all: -r packages.txt

echo "==> removing what never runs"
find /app/.venv -type d -name tests -path '*/site-packages/*' -prune -exec rm -rf {} +

# A read-only root cannot keep bytecode, so each start would compile for itself: 11 s of CPU instead of 5. Bytecode that
# goes by hashes needs no time stamps, which an image does not keep to the fraction.
echo "==> compiling Python packages"
/app/.venv/bin/python -m compileall -q -j 2 --invalidation-mode unchecked-hash /app/.venv/lib

echo "==> checking LiteLLM"
LITELLM_LOCAL_MODEL_COST_MAP=True /app/.venv/bin/python -c 'import litellm.proxy.proxy_server'
