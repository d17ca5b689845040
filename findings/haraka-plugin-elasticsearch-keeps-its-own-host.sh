#!/usr/bin/env bash
# haraka-plugin-elasticsearch 8.2.1 under Haraka 3.3.4: hosts and headers in one's own elasticsearch.ini come on top of the
# plugin's own ones, and do not replace them.
#
# Guess: with one host under [hosts], documents go to that one; with Message-ID alone under [headers], that one is stored.
# Seen:  the plugin's own file is merged key by key, and its keys are hosts and headers: http://127.0.0.1:9200 stays a second
#        node, and takes every second document if an Elasticsearch answers there; From, To and Subject are stored all the same.
#        A host is replaced under its key alone (127.0.0.1=https://es1.example.com:9200); a header stays.
# Needs Node.js 20 or newer. Exits 0 as long as that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --prefix "$folder" --silent --no-audit --no-fund --ignore-scripts \
    Haraka@3.3.4 haraka-config@1.7.0 haraka-plugin-elasticsearch@8.2.1 @elastic/elasticsearch@8.19.2
mkdir "$folder/config"
echo elasticsearch > "$folder/config/plugins"
cat > "$folder/seen.js" <<'JAVASCRIPT'
const assert = require('node:assert')
const fs = require('node:fs')

process.env.HARAKA = __dirname
process.chdir(__dirname)
const { version } = require('haraka-plugin-elasticsearch/package.json')

function loaded (own) {
  fs.writeFileSync('config/elasticsearch.ini', own)
  for (const name of Object.keys(require.cache)) delete require.cache[name]
  const plugins = require('Haraka/plugins')
  plugins.load_plugin('elasticsearch')
  const { clientArgs, cfg } = plugins.registered_plugins.elasticsearch
  return [...clientArgs.nodes, ...cfg.headers].join(' ')
}

const seen = {
  another: loaded('[hosts]\nes1=http://127.0.0.2:9200\n[headers]\nMessage-ID\n'),
  instead: loaded('[hosts]\n127.0.0.1=http://127.0.0.2:9200\n'),
}
console.log(version, seen)
assert.deepStrictEqual([version, seen], ['8.2.1', {
  another: 'http://127.0.0.1:9200 http://127.0.0.2:9200 From To Subject Message-ID',
  instead: 'http://127.0.0.2:9200 From To Subject',
}], 'it has changed')
process.exit()
JAVASCRIPT
node "$folder/seen.js"
