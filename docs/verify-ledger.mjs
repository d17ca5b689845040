// Verifies an export of the ledger, with nothing but Node.js: node verify-ledger.mjs EXPORT [HEAD]
// Shares no line with retention-enforcer: it is written after docs/ledger.md alone. What it cannot check are the HMACs
// in checkpoints: that takes the pseudonym key. Without a head from elsewhere it takes a chain that was written anew for whole.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

class Broken extends Error {}

// JSON with sorted keys, without blanks, with integers and strings only.
function canonical(value, place, name = "record") {
  if (typeof value === "string") return JSON.stringify(value);
  if (Number.isSafeInteger(value)) return String(value);
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw new Broken(`${place}: ${name} is neither an integer nor a string`);
  }
  const members = Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key], place, key)}`);
  return `{${members.join(",")}}`;
}

function checked(line, sequence, previous) {
  const place = `record ${sequence}`;
  let record;
  try {
    record = JSON.parse(line);
  } catch {
    throw new Broken(`${place}: line ${sequence} of the file is not a record`);
  }
  if (canonical(record, place) !== line) throw new Broken(`${place}: it is not in the canonical form`);
  if (record.sequence !== sequence) throw new Broken(`${place}: missing; record ${record.sequence} is in its place`);
  if (record.previous !== previous) throw new Broken(`${place}: it does not follow record ${sequence - 1}`);
  const { hash, ...content } = record;
  const expected = createHash("sha256").update(previous, "ascii").update(canonical(content, place), "utf8").digest("hex");
  if (hash !== expected) throw new Broken(`${place}: its content does not match its hash`);
  return { hash, checkpoint: record.kind === "checkpoint" };
}

function verify(path, wanted) {
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(readFileSync(path));
  const lines = text.replace(/\n$/, "").split("\n");
  let head = "0".repeat(64);
  let checkpoints = 0;
  lines.forEach((line, index) => {
    const { hash, checkpoint } = checked(line, index + 1, head);
    head = hash;
    checkpoints += checkpoint ? 1 : 0;
  });
  if (wanted && wanted.toLowerCase() !== head) throw new Broken(`record ${lines.length}: the last hash is ${head}`);
  const unknown = wanted ? "" : "\nnot compared with a head from elsewhere: give one that was noted before";
  const unchecked = `checkpoints: ${checkpoints} not checked because that needs the pseudonym key`;
  return `the ledger is whole: ${lines.length} records, head ${head}\n${unchecked}${unknown}`;
}

try {
  console.log(verify(process.argv[2], process.argv[3]));
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exitCode = error instanceof Broken ? 1 : 2;
}
