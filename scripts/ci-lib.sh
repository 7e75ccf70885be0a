# What .ci/run and .ci/soak share. To be sourced from the root of the project, under set -euo pipefail.

exec </dev/null # nothing here asks questions

# go.mod has to be complete as committed. The stamp of the version control is left out: a checkout that
# belongs to another user would stop the build.
export GOFLAGS="-mod=readonly -buildvcs=false"

ci_start=$SECONDS
ci_left_out=()

# step NAME COMMAND... runs one check and prints its time; the first that fails ends everything.
step() {
  local name=$1 start=$SECONDS code=0
  shift
  printf '\n=== %s\n' "$name"
  # A subshell of its own keeps set -e in force inside functions, which "if" and "||" would suspend.
  set +e
  (set -e; "$@")
  code=$?
  set -e
  if ((code != 0)); then
    printf '=== %s FAILED after %d s (exit code %d)\n' "$name" $((SECONDS - start)) "$code"
    exit 1
  fi
  printf '=== %s ok, %d s\n' "$name" $((SECONDS - start))
}

# left_out says loudly that a check did not run; the closing line repeats it.
left_out() {
  printf '\n!!! LEFT OUT: %s\n' "$1"
  ci_left_out+=("$1")
}

closing_line() {
  local name=$1
  printf '\n=== %s: everything passed in %d s\n' "$name" $((SECONDS - ci_start))
  if ((${#ci_left_out[@]})); then
    printf '!!! but left out: %s\n' "${ci_left_out[@]}"
  fi
}

# need COMMANDS PACKAGE... installs Debian packages unless one of the commands (a|b|c) is there.
need() {
  local commands=$1 command sudo=()
  shift
  for command in ${commands//|/ }; do
    if command -v "$command" >/dev/null; then
      echo "$command: $(command -v "$command")"
      return
    fi
  done
  ((EUID == 0)) || sudo=(sudo -n)
  export DEBIAN_FRONTEND=noninteractive
  # A stale mirror need not stop us: the package may be known already.
  "${sudo[@]}" apt-get update -q || { sleep 5; "${sudo[@]}" apt-get update -q; } || true
  "${sudo[@]}" apt-get install -qy --no-install-recommends "$@"
}

install_tools() {
  go version
  need gcc gcc libc6-dev
  need 'chromium|chromium-browser|google-chrome' chromium
  need sftp openssh-client
  need lftp lftp
  need ssh-audit ssh-audit
  need strace strace
  need sqlite3 sqlite3
  need promtool prometheus
  need pgbouncer pgbouncer
  need haproxy haproxy
  /usr/bin/python3 -c 'import paramiko' 2>/dev/null || need '' python3-paramiko
  scripts/postgres.sh true # installs PostgreSQL, before two of them start at once
}

formatted() {
  local files
  files=$(git ls-files -z '*.go' | xargs -0 gofmt -l)
  if [[ -n $files ]]; then
    printf 'gofmt would change:\n%s\n' "$files"
    return 1
  fi
}

# concurrent_packages lists the packages whose tests are worth running under the race detector in every run. Those of the
# commands, of feeds, of the inventory and of rules, which take it a minute or more each, run under it in .ci/soak.
concurrent_packages() {
  git grep -lE '^\s*go |"sync"|"sync/atomic"|/errgroup"|t\.Parallel\(\)' -- 'internal/*.go' | xargs -n1 dirname | sort -u |
    grep -vxE 'internal/(cli|feed|inventory|rule)' | sed 's|^|./|'
}

race() {
  local packages
  mapfile -t packages < <(concurrent_packages)
  CGO_ENABLED=1 go test -race -short -timeout 15m "${packages[@]}"
}

# fuzz COUNT runs every fuzz target that many times, found by their declarations; the one over the expressions of
# tenants longer than the others. A count (20000x), not a time: until Go 1.27 a time that runs out can
# fail a target that found nothing (go.dev/issue/75804).
fuzz() {
  local count=$1 folder target targets least
  for folder in $(git grep -lE '^func Fuzz' -- '*_test.go' | xargs -r -n1 dirname | sort -u); do
    targets=$(go test -list '^Fuzz' "./$folder")
    for target in $(grep '^Fuzz' <<<"$targets"); do
      if [ "$target" = FuzzExpression ] && [ "${count%x}" -lt 15000 ]; then
        least=15000x
      else
        least=$count
      fi
      echo "$folder $target, $least"
      go test -run '^$' -fuzz "^$target\$" -fuzztime "$least" "./$folder"
    done
  done
}

vulnerabilities_reachable() {
  curl -fsS -m 15 -o /dev/null https://vuln.go.dev/index/db.json
}

# browser_tests runs the tests that need a Chromium again, with it required.
browser_tests() {
  local folders
  folders=$(git grep -l 'chromedp/chromedp"' -- '*_test.go' | xargs -r -n1 dirname | sort -u | sed 's|^|./|')
  # shellcheck disable=SC2086 # one word per folder
  CARFLUENCE_REQUIRE_BROWSER=1 go test -count=1 -run Browser -v $folders
}

# on_postgres runs the tests of all that keeps stores once more, on a private PostgreSQL, and beside them, as they wait
# most of their time, those of the whole program that are about PostgreSQL. .ci/soak has all of the program's on it.
on_postgres() {
  local folders stores failed=0
  folders=$(git grep -l 'sqldb/sqldbtest"' -- 'internal/*_test.go' | xargs -n1 dirname | sort -u | sed 's|^|./|' | tr '\n' ' ')
  # shellcheck disable=SC2086 # one word per folder
  scripts/postgres.sh go test -count=1 -short $folders &
  stores=$!
  CARFLUENCE_REQUIRE_TOOLS=1 scripts/postgres.sh go test -count=1 -run '^TestPostgreSQL' ./e2e || failed=1
  wait "$stores" || failed=1
  return "$failed"
}

# sftp_clients runs the tests that need real SFTP clients again, with them required.
sftp_clients() {
  CARFLUENCE_REQUIRE_CLIENTS=1 go test -count=1 -run '^TestClient' -v ./internal/sftpd
}

# end_to_end_tools runs the tests of the program that need an SFTP client or strace again, with them required.
end_to_end_tools() {
  CARFLUENCE_REQUIRE_TOOLS=1 go test -count=1 -run '^Test(Client|Injected)' -v ./e2e
}

readme_test_command() {
  grep -qF 'go test ./...' README.md || { echo 'README.md does not name the test command that runs here'; return 1; }
  go test ./...
}

unchanged_tree() {
  local now
  now=$(git status --porcelain)
  if [[ $now != "$1" ]]; then
    printf 'The checks changed the checkout. Before:\n%s\nNow:\n%s\n' "$1" "$now"
    return 1
  fi
}
