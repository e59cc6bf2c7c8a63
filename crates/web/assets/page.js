// The page: comes in with the key of the link, looks again and again, and shows what it sees.

import { element, put } from "./dom.js";
import { Gone, Refused, call, enter, onEntered, token } from "./api.js";
import { onDone, setGone, unsettle, watchSize } from "./decide.js";
import { lastPart, plain, setClock, tail, tick } from "./text.js";
import { forgetKey, read } from "./address.js";
import { Inbox } from "./inbox.js";
import { Runs, Standing } from "./runs.js";
import { RunView } from "./run.js";

const PATIENCE = 15_000;
const WHILE_HIDDEN = 30_000;
const BETWEEN_LOOKS = 250;
const AFTER_GONE = 3_000;
const AFTER_TROUBLE = 5_000;

const at = (id) => document.getElementById(id);
const [desk, gate, said, news, link, place, badge, article] = [
  "desk",
  "gate",
  "said",
  "news",
  "link",
  "place",
  "waiting",
  "run",
].map(at);

const inbox = new Inbox(at("inbox"));
const runs = new Runs(at("runs"));
const standing = new Standing(at("standing"));

let seen = null;
let view = null;
let openedFrom = null;
// What wakes the loop: a look that waits is given up, and a pause is over.
let wake = () => {};

// Coming in

async function comeIn() {
  const { key } = read();
  if (key === null) return;
  forgetKey();
  try {
    await enter(key);
  } catch (error) {
    // Who is in already needs no other key.
    if (error instanceof Gone || token() !== null) return;
    showGate("This link was used already, or is of another time.");
  }
}

function showGate(why) {
  desk.hidden = true;
  badge.hidden = true;
  put(place, "");
  document.title = "codex-orch";
  setLink("");
  gate.replaceChildren(
    element(
      "section",
      { class: "card" },
      element("h2", {}, "Not let in"),
      why && element("p", {}, why),
      element(
        "p",
        {},
        "Open the link that ",
        element("code", {}, "codex-orch ui"),
        " shows in its terminal; Enter there makes a new one.",
      ),
      element("p", { class: "faint" }, "A link lets in one browser, once."),
    ),
  );
}

function setLink(words, kind = "") {
  put(link, words);
  link.className = kind;
}

// Looking

async function look() {
  const { run, repo } = view ?? {};
  const isWaiting = seen !== null && !document.hidden;
  const stop = new AbortController();
  const body = {
    wait_ms: isWaiting ? PATIENCE : 0,
    ...(seen === null ? {} : { seen }),
    ...(view ? { run, repo } : {}),
  };
  const of = view;
  wake = () => stop.abort();
  const answer = await call("look", body, stop.signal);
  // What was asked for with another run open says nothing of the one that is open now.
  if (of !== view) return;
  seen = answer.seen;
  gate.replaceChildren();
  desk.hidden = false;
  setLink("live", "live");
  setGone(false);
  if (answer.unchanged) view?.wake();
  else show(answer);
}

function pause(ms) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    wake = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}

async function follow() {
  await comeIn();
  for (;;) {
    if (token() === null) {
      if (gate.childElementCount === 0) showGate(null);
      await pause(2 ** 31 - 1);
      continue;
    }
    try {
      await look();
      // A run that changes all the time is not drawn all the time.
      await pause(document.hidden ? WHILE_HIDDEN : BETWEEN_LOOKS);
    } catch (error) {
      if (error.name === "AbortError") continue;
      if (error instanceof Refused && error.code === "unauthorized") {
        seen = null;
        continue;
      }
      await trouble(error);
    }
  }
}

async function trouble(error) {
  // What had been seen may be of a server that is not there any more.
  seen = null;
  if (error instanceof Gone) {
    setGone(true);
    setLink("The page is not served any more: type `codex-orch ui` again.", "gone");
    await pause(AFTER_GONE);
    return;
  }
  if (error instanceof Refused) {
    setLink(`${plain(error.message)}${error.nextStep ? ` (${plain(error.nextStep)})` : ""}`, "gone");
  } else {
    console.error(error);
    setLink("This page went wrong; reloading it may help.", "gone");
  }
  await pause(AFTER_TROUBLE);
}

// Showing

function show(answer) {
  setClock(answer.at);
  const name = answer.title ? plain(answer.title) : "codex-orch";
  put(place, name);
  const arrived = inbox.show(answer.inbox, answer.all_repos);
  runs.show(answer.groups, view?.run ?? null);
  standing.show(answer.standing ?? []);
  const waiting = answer.inbox.length;
  document.title = `${waiting > 0 ? `(${waiting}) ` : ""}codex-orch · ${lastPart(name)}`;
  badge.hidden = waiting === 0;
  put(badge, `${waiting} waiting`);
  if (arrived.length > 0) {
    put(
      news,
      arrived
        .map(
          (entry) =>
            `${plain(entry.kind)} of run ${tail(entry.run_id)}: ${plain(entry.prompt).slice(0, 200)}`,
        )
        .join(". "),
    );
  }
  if (view) view.show(answer.run ?? null, answer.run_error ?? null);
  shown = answer;
}
let shown = null;

/** Opens the run that the address names, or none. */
function open() {
  const { run, repo } = read();
  if ((view?.run ?? null) === run) return;
  const was = view;
  was?.stop();
  view = run === null ? null : new RunView({ run, repo, goTo, close });
  document.body.toggleAttribute("data-open", view !== null);
  article.replaceChildren(view?.node ?? nothingOpen());
  article.scrollTop = 0;
  if (view) {
    if (was === null) openedFrom = document.activeElement;
    if (matchMedia("(max-width: 60rem)").matches) scrollTo(0, 0);
    article.focus({ preventScroll: true });
  } else {
    openedFrom?.focus?.();
  }
  if (shown) runs.show(shown.groups, run);
  seen = null;
  unsettle();
  wake();
}

function nothingOpen() {
  return element(
    "div",
    { class: "nothing" },
    element("p", {}, "No run is open."),
    element(
      "p",
      { class: "faint" },
      "Choose one to see its stages, what they write and what it changed. Escape closes it.",
    ),
  );
}

function close() {
  if (view === null) return;
  history.pushState(null, "", location.pathname);
  open();
}

function goTo(question) {
  if (matchMedia("(max-width: 60rem)").matches) close();
  if (!inbox.goTo(question)) say("that is not in the inbox any more");
}

let quiet = 0;
function say(sentence) {
  put(said, sentence);
  said.classList.add("shown");
  clearTimeout(quiet);
  quiet = setTimeout(() => said.classList.remove("shown"), 8000);
}

onDone((sentence) => {
  say(sentence);
  wake();
});
onEntered(() => wake());
addEventListener("hashchange", async () => {
  await comeIn();
  open();
  wake();
});
addEventListener("popstate", open);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) wake();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing) return;
  // Out of a field first: what is half typed is looked after.
  if (event.target.matches("input, textarea")) event.target.blur();
  else close();
});
badge.addEventListener("click", (event) => {
  event.preventDefault();
  if (matchMedia("(max-width: 60rem)").matches) close();
  at("list").scrollTop = 0;
  at("inbox-title").focus();
});
watchSize(at("top"));
setInterval(tick, 1000);

article.append(nothingOpen());
open();
follow();
