// Text of others as a reader can trust it, and times, sizes and names as people write them.
//
// Prompts, commands, logs, diffs and names of files are written by agents. What cannot be seen, or
// turns around what stands beside it, is shown by its number, in a form that no text can imitate.

import { element } from "./dom.js";

// Controls, formats (bidi, zero width, tags), separators of lines and paragraphs, halves of
// characters, what joins without being seen, and letters that are blank.
const UNSEEN =
  /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/u;
// What is to be approved says everything: spaces that are none, characters of no standard.
const INEXACT = /[\p{Zs}\p{Co}\p{Cn}]/u;

function number(character) {
  const digits = character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  return `⟨U+${digits}⟩`;
}

function isUnseen(character, exact) {
  if (character === "\n" || character === " ") return false;
  if (character === "\t") return exact;
  return UNSEEN.test(character) || (exact && INEXACT.test(character));
}

/** The text as one string, for titles and attributes: on one line. */
export function plain(text) {
  let shown = "";
  for (const character of String(text)) {
    if (character === "\n" || character === "\t") shown += " ";
    else shown += isUnseen(character, false) ? number(character) : character;
  }
  return shown;
}

/**
 * The text for the page. What cannot be seen is marked. With `exact` every character is told from
 * every other: also tabs, odd spaces, spaces at the end of a line, and letters beyond ASCII, which
 * may look like others.
 */
export function shown(text, exact = false) {
  const all = document.createDocumentFragment();
  let run = "";
  let kind = "";
  const flush = () => {
    if (run === "") return;
    all.append(kind === "" ? run : element("span", { class: kind }, run));
    run = "";
  };
  const add = (part, of) => {
    if (of !== kind) flush();
    kind = of;
    run += part;
  };
  let before = "";
  const characters = [...String(text)];
  // Where the spaces at the end of each line begin.
  let isTrailing = true;
  const trailing = new Set();
  for (let at = characters.length - 1; exact && at >= 0; at -= 1) {
    if (characters[at] === "\n") isTrailing = true;
    else if (characters[at] !== " ") isTrailing = false;
    else if (isTrailing) trailing.add(at);
  }
  characters.forEach((character, at) => {
    // This one only makes an emoji of the sign before it.
    const colours = character === "\ufe0f" && /\p{Extended_Pictographic}/u.test(before);
    if (isUnseen(character, exact) && (exact || !colours)) {
      // A line that ends as on Windows is a line.
      const isEnd = character === "\r" && characters[at + 1] === "\n" && !exact;
      if (!isEnd) add(number(character), "mark");
    } else if (trailing.has(at)) {
      add("·", "mark");
    } else if (exact && character > "\x7f") {
      add(character, "beyond");
    } else {
      add(character, "");
    }
    before = character;
  });
  flush();
  return all;
}

/** Whether a text has letters that may look like others. */
export function hasBeyondAscii(text) {
  return [...text].some((character) => character > "\x7f" && !isUnseen(character, true));
}

const FOLDED_LINES = 40;
const FOLDED_LENGTH = 6000;

/**
 * A block of text, folded after some lines with a button that shows the rest. `whenShown` is called
 * when all of it is on the page, at once where it is not folded. `write` gives what stands for a text.
 */
export function block(
  text,
  { exact = false, kind = "prose", whenShown = () => {}, write = (part) => [shown(part, exact)] } = {},
) {
  const whole = String(text);
  const lines = whole.split("\n");
  const cut = lines.slice(0, FOLDED_LINES).join("\n").slice(0, FOLDED_LENGTH);
  const name = kind === "prose" ? "div" : "pre";
  const body = element(name, { class: `text ${kind}`, dir: kind === "prose" ? "auto" : "ltr" });
  if (cut.length === whole.length) {
    body.append(...write(whole));
    whenShown();
    return body;
  }
  body.append(...write(cut), element("span", { class: "mark" }, "…"));
  const much = lines.length > 1 ? `${lines.length} lines` : `${whole.length} characters`;
  const more = element("button", { type: "button", class: "quiet more" }, `show all (${much})`);
  more.addEventListener("click", () => {
    body.replaceChildren(...write(whole));
    more.remove();
    whenShown();
  });
  return element("div", { class: "folded" }, body, more);
}

/** A value as JSON that a person reads. */
export function pretty(value) {
  return JSON.stringify(value, null, 2);
}

/** What terminals act on, taken out: colours, titles, moves of the cursor. */
export function withoutEscapes(text) {
  return text
    .replace(/\x1b\[[0-?]*[ -/]*[@-~]/g, "")
    .replace(/\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)/g, "")
    .replace(/\x1b[ -/]*[0-~]/g, "");
}

// The clock is the server's: `at` is its time at the last look.
let ahead = 0;
export function setClock(at) {
  const time = Date.parse(at);
  if (!Number.isNaN(time)) ahead = time - Date.now();
}
export function now() {
  return Date.now() + ahead;
}

/** `0.4s`, `12s`, `3m05s`, `2h07m`, `3d04h`: as the commands have it. */
export function length(ms) {
  const secs = Math.max(0, Math.floor(ms / 1000));
  const two = (number) => String(number).padStart(2, "0");
  if (secs < 10) return `${secs}.${Math.floor((Math.max(0, ms) % 1000) / 100)}s`;
  if (secs < 60) return `${secs}s`;
  if (secs < 3600) return `${Math.floor(secs / 60)}m${two(secs % 60)}s`;
  if (secs < 86400) return `${Math.floor(secs / 3600)}h${two(Math.floor(secs / 60) % 60)}m`;
  return `${Math.floor(secs / 86400)}d${two(Math.floor(secs / 3600) % 24)}h`;
}

function roughly(ms) {
  const secs = Math.floor(Math.abs(ms) / 1000);
  if (secs < 60) return `${secs}s`;
  if (secs < 3600) return `${Math.floor(secs / 60)}m`;
  if (secs < 86400) return `${Math.floor(secs / 3600)}h`;
  return `${Math.floor(secs / 86400)}d`;
}

const WORDS = {
  ago: (time) => (now() - time < 2000 ? "now" : `${roughly(now() - time)} ago`),
  until: (time) => (time <= now() ? "any moment now" : `in ${roughly(time - now())}`),
  // Tenths that never stand still say nothing.
  since: (time) => length(Math.floor((now() - time) / 1000) * 1000).replace(".0s", "s"),
};

/** A time that stays true: `form` is `ago`, `until` or `since`. */
export function time(at, form) {
  const node = element("time", { datetime: at, "data-form": form, title: new Date(at).toLocaleString() });
  node.textContent = WORDS[form](Date.parse(at));
  return node;
}

/** Brings every such time on the page up to now. */
export function tick() {
  for (const node of document.querySelectorAll("time[data-form]")) {
    const words = WORDS[node.dataset.form](Date.parse(node.dateTime));
    if (node.textContent !== words) node.textContent = words;
  }
}

/** `12 431`, in the reader's way. */
export function count(number) {
  return Number(number).toLocaleString();
}

/** `1 stage`, `2 stages`. */
export function counted(number, one) {
  return `${count(number)} ${one}${number === 1 ? "" : "s"}`;
}

/** What people call a run. */
export function tail(run) {
  return plain(String(run).split("-").at(-1));
}

/** The last part of a path. */
export function lastPart(path) {
  return plain(String(path).split("/").filter(Boolean).at(-1) ?? path);
}
