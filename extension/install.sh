#!/usr/bin/env bash
# Builds the extension and installs it into a PostgreSQL of this machine, with whatever that needs first: the server,
# its headers, libclang and cargo-pgrx. What is there already is left alone, so a second run does next to nothing.
#
# PG_CONFIG names the PostgreSQL by its pg_config; without it, the newest one is taken that pgrx.toml lists, else the
# distribution's. Prints the path of the pg_config on standard output, and everything else on standard error.
set -euo pipefail

exec 3>&1 1>&2
cd "$(dirname "$0")/.."

. extension/packages.sh

supported_majors() { sed -n 's/^pg\([0-9]*\) = .*/\1/p' pgrx.toml | sort -rn; }
listed_pg_config() { sed -n "s/^pg$1 = \"\(.*\)\"/\1/p" pgrx.toml; }

# The newest supported major of which the server is installed as a Debian package, else the one that apt offers.
debian_major() {
  local major
  for major in $(supported_majors); do
    if [ -x "/usr/lib/postgresql/$major/bin/postgres" ]; then echo "$major"; return; fi
  done
  command -v apt-cache >/dev/null || return 0
  apt-cache depends postgresql 2>/dev/null | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -n 1
}

libclang_is_installed() {
  [ -n "${LIBCLANG_PATH:-}" ] || ldconfig -p 2>/dev/null | grep -Eq 'libclang(-[0-9.]+)?\.so' ||
    compgen -G '/usr/lib/llvm-*/lib/libclang.so*' >/dev/null
}

choose_pg_config() {
  local major found packages=()
  if [ -z "${PG_CONFIG:-}" ]; then
    major=$(debian_major)
    if [ -z "$major" ] && command -v apt-get >/dev/null; then
      as_root apt-get -o DPkg::Lock::Timeout=300 -qq update || true
      major=$(debian_major)
    fi
    [ -n "$major" ] || fail "no PostgreSQL found: name one with PG_CONFIG=/path/to/pg_config"
    supported_majors | grep -qx "$major" ||
      fail "PostgreSQL $major is not supported: name one of $(supported_majors | tr '\n' ' ')with PG_CONFIG=/path/to/pg_config"
    PG_CONFIG=$(listed_pg_config "$major")
    [ -x "/usr/lib/postgresql/$major/bin/postgres" ] || packages+=("postgresql-$major")
    [ -f "/usr/include/postgresql/$major/server/postgres.h" ] || packages+=("postgresql-server-dev-$major")
  fi
  libclang_is_installed || packages+=(libclang-dev)
  [ ${#packages[@]} = 0 ] || install_packages "${packages[@]}"

  found=$(command -v "$PG_CONFIG") || fail "PG_CONFIG=$PG_CONFIG is no program: name the pg_config of the PostgreSQL to use"
  PG_CONFIG=$(realpath -s "$found")
  [ -x "$("$PG_CONFIG" --bindir)/initdb" ] ||
    fail "$PG_CONFIG is of a PostgreSQL without a server: $("$PG_CONFIG" --bindir)/initdb is missing"
  [ -f "$("$PG_CONFIG" --includedir-server)/postgres.h" ] ||
    fail "$PG_CONFIG is of a PostgreSQL without headers: install postgresql-server-dev of its version"
  [ -f "$("$PG_CONFIG" --sharedir)/extension/moddatetime.control" ] ||
    fail "$PG_CONFIG is of a PostgreSQL without its contrib modules: install postgresql-contrib of its version"
  MAJOR=$("$PG_CONFIG" --version | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p')
  supported_majors | grep -qx "$MAJOR" ||
    fail "$PG_CONFIG is of PostgreSQL $MAJOR; the majors that pgrx.toml lists are $(supported_majors | tr '\n' ' ')"
}

# The crate and the tool are of one version. Where the machine has another, it keeps it, and ours goes below target/.
find_cargo_pgrx() {
  local version
  version=$(sed -n '/^name = "pgrx"$/{n;s/^version = "\(.*\)"$/\1/p;}' Cargo.lock)
  for CARGO_PGRX in "$(command -v cargo-pgrx || true)" "$PWD/target/tools/bin/cargo-pgrx"; do
    if [ -x "$CARGO_PGRX" ] && [ "$("$CARGO_PGRX" pgrx --version)" = "cargo-pgrx $version" ]; then return; fi
  done
  say "installing cargo-pgrx $version; this takes a few minutes, once"
  # Without its features it needs no OpenSSL: it is not to download anything.
  cargo install --locked --debug --no-default-features --root target/tools --target-dir target/tools/build \
    "cargo-pgrx@$version"
  rm -rf target/tools/build
}

library() { echo "$("$PG_CONFIG" --pkglibdir)/percytech.so"; }

# What was installed, from what, and where to: if any of it has changed, it is installed again.
fingerprint() {
  echo "$PG_CONFIG $("$PG_CONFIG" --version)"
  find extension Cargo.toml Cargo.lock -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
  sha256sum "$(library)" "$("$PG_CONFIG" --sharedir)"/extension/percytech[.-]* 2>/dev/null || echo "not installed"
}

install_extension() {
  local stamp="target/pgrx/installed-pg$MAJOR" sudo=()
  mkdir -p target/pgrx
  printf '[configs]\npg%s = "%s"\n' "$MAJOR" "$PG_CONFIG" > target/pgrx/config.toml.new
  # Only a change is written: cargo builds anew what depends on it.
  cmp -s target/pgrx/config.toml.new target/pgrx/config.toml ||
    cp target/pgrx/config.toml.new target/pgrx/config.toml
  rm target/pgrx/config.toml.new
  if [ -f "$stamp" ] && [ "$(fingerprint)" = "$(cat "$stamp")" ]; then return; fi

  find_cargo_pgrx
  if ! [ -w "$(dirname "$(library)")" ]; then
    as_root true || fail "$(dirname "$(library)") is not writable: run this as root, with sudo, or with the PG_CONFIG of a PostgreSQL of yours"
    sudo=(--sudo)
  fi
  say "building the extension for $("$PG_CONFIG" --version)"
  PGRX_HOME="$PWD/target/pgrx" "$CARGO_PGRX" pgrx install --release --package percytech \
    --pg-config "$PG_CONFIG" --no-default-features --features "pg$MAJOR" "${sudo[@]}"
  fingerprint > "$stamp"
}

command -v cargo >/dev/null || fail "cargo is missing: install Rust from https://rustup.rs"
choose_pg_config
install_extension
echo "$PG_CONFIG" >&3
