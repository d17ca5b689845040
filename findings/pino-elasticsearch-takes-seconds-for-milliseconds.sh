#!/usr/bin/env bash
# pino-elasticsearch 9.0.0 with pino 10.4.0: lines that pino dates with its own unixTime are indexed as of January 1970.
#
# Guess: each of pino's standard timestamps (epochTime in milliseconds, unixTime in seconds, isoTime) comes into
#        Elasticsearch as the moment at which the line was logged; `%{DATE}` in the index's name is that day.
# Seen:  seconds are taken for milliseconds. The document says January 1970 and goes into the index of that day, without
#        any event (`unknown`, `insertError`, `error`). What deletes by the date or by the name takes it for decades old.
# Needs Node.js 20 or newer. Exits 0 as long as that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --prefix "$folder" --silent --no-audit --no-fund --ignore-scripts \
    pino@10.4.0 pino-elasticsearch@9.0.0 @elastic/elasticsearch@8.19.2
cat > "$folder/seen.js" <<'JAVASCRIPT'
const assert = require('node:assert')
const http = require('node:http')
const pino = require('pino')
const { version } = require('pino-elasticsearch/package.json')
const toElasticsearch = require('pino-elasticsearch')

const bulks = []
const server = http.createServer((request, response) => {
  let body = ''
  request.on('data', (chunk) => { body += chunk })
  request.on('end', () => {
    const lines = body.split('\n').filter(Boolean).map((line) => JSON.parse(line))
    if (request.url.startsWith('/_bulk')) bulks.push(lines)
    response.setHeader('x-elastic-product', 'Elasticsearch')
    response.setHeader('content-type', 'application/vnd.elasticsearch+json; compatible-with=8')
    response.end(JSON.stringify({ errors: false, items: [{ index: { status: 201 } }] }))
  })
})

async function indexed (timestamp) {
  const stream = toElasticsearch({ index: 'logs-%{DATE}', node: `http://127.0.0.1:${server.address().port}` })
  const events = []
  for (const name of ['unknown', 'insertError', 'error']) stream.on(name, () => events.push(name))
  const done = new Promise((resolve) => stream.on('insert', resolve))
  pino({ timestamp }, stream).info('hello')
  stream.end()
  await done
  const [action, document] = bulks.pop()
  return [action.index._index.slice(0, 9), document.time.slice(0, 4), ...events].join(' ')
}

setTimeout(() => { console.error('it does not answer'); process.exit(1) }, 60_000).unref()
server.listen(0, '127.0.0.1', async () => {
  const { epochTime, unixTime, isoTime } = pino.stdTimeFunctions
  const seen = { epochTime: await indexed(epochTime), unixTime: await indexed(unixTime), isoTime: await indexed(isoTime) }
  server.close()
  console.log(version, seen)
  const year = new Date().toISOString().slice(0, 4)
  const today = `logs-${year} ${year}`
  assert.deepStrictEqual([version, seen], ['9.0.0', { epochTime: today, unixTime: 'logs-1970 1970', isoTime: today }], 'it has changed')
})
JAVASCRIPT
node "$folder/seen.js"
