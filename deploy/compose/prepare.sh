#!/bin/bash
# Makes, once, what must not be in any image or repository: an authority, a certificate, two secrets.
# Each container gets a folder of its own, readable by its user alone. Runs as root in Elasticsearch's image.
set -euo pipefail
umask 077

prepared=${1:-/prepared}
elasticsearch=${2:-/usr/share/elasticsearch}

if [ -f "$prepared/elasticsearch/done" ]; then
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
secret() { head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

"$elasticsearch/bin/elasticsearch-certutil" ca --silent --pem --out "$work/ca.zip"
unzip -q "$work/ca.zip" -d "$work"
"$elasticsearch/bin/elasticsearch-certutil" cert --silent --pem --out "$work/http.zip" --name http \
  --ca-cert "$work/ca/ca.crt" --ca-key "$work/ca/ca.key" --dns elasticsearch,localhost --ip 127.0.0.1
unzip -q "$work/http.zip" -d "$work"
secret > "$work/password"
secret > "$work/pseudonym-key"

cp "$work/http/http.crt" "$work/http/http.key" "$work/password" "$prepared/elasticsearch/"
cp "$work/password" "$prepared/setup/"
cp "$work/pseudonym-key" "$prepared/enforcer/"
cp "$work/pseudonym-key" "$prepared/operator/"
for user in elasticsearch setup enforcer operator; do
  cp "$work/ca/ca.crt" "$prepared/$user/"
done
if [ "$(id -u)" = 0 ]; then
  chown -R 1000:0 "$prepared/elasticsearch"
  chown -R 10001:10001 "$prepared/setup" "$prepared/enforcer" "$prepared/operator"
fi
touch "$prepared/elasticsearch/done"
