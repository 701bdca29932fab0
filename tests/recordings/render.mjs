// Renders a recording with @xterm/headless, the reference, and prints what it shows as JSON.
//
//   npm install @xterm/headless@6.0.0 @xterm/addon-unicode11@0.9.0
//   node render.mjs claude.bin > claude.json
//
// "screens" is the visible screen after each of so many bytes, "lines" all lines at the end, both
// without blanks at the ends of rows; "cursor" is column and row at the end.
import { readFileSync } from "node:fs";
import headless from "@xterm/headless";
import unicode11 from "@xterm/addon-unicode11";

const COLS = 120, ROWS = 40, CUTS = 8;
const data = readFileSync(process.argv[2]);
const terminal = new headless.Terminal({ cols: COLS, rows: ROWS, scrollback: 10000, allowProposedApi: true });
terminal.loadAddon(new unicode11.Unicode11Addon());
terminal.unicode.activeVersion = "11";

const rows = (first, last) => {
  const found = [];
  for (let row = first; row < last; row++)
    found.push(terminal.buffer.active.getLine(row).translateToString(true).replace(/ +$/, ""));
  while (found.length && !found[found.length - 1]) found.pop();
  return found;
};

const screens = [];
let done = 0;
for (let cut = 1; cut <= CUTS; cut++) {
  const end = Math.floor((data.length * cut) / CUTS);
  await new Promise((written) => terminal.write(data.subarray(done, end), written));
  done = end;
  const base = terminal.buffer.active.baseY;
  screens.push({ bytes: end, rows: rows(base, base + ROWS) });
}
const active = terminal.buffer.active;
const lines = rows(0, active.length);
const cursor = [active.cursorX, active.cursorY];
console.log(JSON.stringify({ cols: COLS, rows: ROWS, screens, lines, cursor }, null, 1));
