#!/usr/bin/env bash
# Renews the API reference tool that internal/rest/docsite embeds. Only who raises its version needs npm:
#   scripts/update-scalar.sh 1.72.1
# Afterwards run the tests of internal/rest/docsite with a Chromium present; they fail when the new
# version calls another origin.
set -euo pipefail

version=${1:?usage: update-scalar.sh VERSION}
root=$(cd "$(dirname "$0")/.." && pwd)
target=$root/internal/rest/docsite/scalar
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm init -y >/dev/null
npm install --ignore-scripts --no-audit --no-fund "@scalar/api-reference@$version" >/dev/null
bundle=node_modules/@scalar/api-reference/dist/browser/standalone.js
# -n leaves the time stamp out, so the same version gives the same bytes.
gzip -9 -n -c "$bundle" >"$target/scalar.js.gz"
# The package comes without its licence's text, which therefore lies beside the bundle.
{ echo "Scalar ($version)"; echo; cat "$target/LICENSE"; echo; node "$root/scripts/licences.mjs" node_modules; } | gzip -9 -n -c >"$target/licences.txt.gz"
cat >"$target/VERSION" <<EOF
package  @scalar/api-reference
version  $version
file     dist/browser/standalone.js
sha256   $(sha256sum "$bundle" | cut -d' ' -f1)
licence  MIT
EOF
cat "$target/VERSION"
