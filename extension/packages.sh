# To be sourced: what the install scripts say, and how they install packages of the system.

say() { printf '==> %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*"; exit 1; }

# As root, with sudo, or not at all.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then sudo "$@"
  else return 126
  fi
}

install_packages() {
  command -v apt-get >/dev/null ||
    fail "these Debian packages, or what your system calls them, are missing: $*. Install them and run this again."
  say "installing $*"
  as_root apt-get -o DPkg::Lock::Timeout=300 -qq update &&
    as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get -o DPkg::Lock::Timeout=300 -qq -y --no-install-recommends install "$@" ||
    fail "could not install them. As root, run: apt-get update && apt-get install $*"
}
