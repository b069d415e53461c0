#!/bin/sh
# Writes the image to stdout, made of Debian's packages alone: no registry is needed. Needs root and mmdebstrap.
#
#   examples/galera/image.sh > galera.tar
#   docker import --change 'CMD ["/usr/bin/galera"]' - flota/galera:1 < galera.tar       on each machine
#
# confd is not in it: the unit file brings in the machine's Flota, which is confd when it is called by that name.
set -eu
files=$(cd "$(dirname "$0")/image" && pwd)
exec mmdebstrap --variant=essential --include=mariadb-server,mariadb-backup,galera-4,socat \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook="sync-in '$files' /" \
    --customize-hook='ln -s flota "$1/usr/bin/confd"' \
    --customize-hook='rm -rf "$1"/var/lib/mysql "$1"/var/lib/apt/lists/* "$1"/var/cache/*' \
    trixie -
