// Buttons that decide something. They act only on what has stood still for a moment, so that a
// click hits what was aimed at; while nobody would hear, they are off.

import { element } from "./dom.js";
import { plain, shown } from "./text.js";
import { Gone, Refused, call } from "./api.js";

const STILL_FOR = 500;
let stillFrom = 0;
let timer = 0;
let focused = null;
let isGone = false;

/** Something came, went or moved: no button decides anything for a moment. */
export function unsettle() {
  stillFrom = performance.now() + STILL_FOR;
  const active = document.activeElement;
  if (active?.closest(".decides")) focused = active;
  for (const node of document.querySelectorAll(".decides")) node.inert = true;
  clearTimeout(timer);
  timer = setTimeout(settle, STILL_FOR);
}

function settle() {
  for (const node of document.querySelectorAll(".decides")) node.inert = false;
  // What is inert loses the focus, and gets it back unless it was wanted elsewhere meanwhile.
  if (focused?.isConnected && document.activeElement === document.body) {
    focused.focus({ preventScroll: true });
  }
  focused = null;
}

function isStill() {
  return performance.now() >= stillFrom;
}

// Whatever changes its size moves what is below it.
const sizes = new ResizeObserver(unsettle);
export function watchSize(node) {
  sizes.observe(node);
}

/** Says whether the server is gone. */
export function setGone(value) {
  if (isGone === value) return;
  isGone = value;
  for (const button of document.querySelectorAll("button[data-decides]")) refresh(button);
}

const reasons = new WeakMap();
function refresh(button) {
  button.disabled = isGone || (reasons.get(button)?.size ?? 0) > 0;
}

/** Switches a button off for a reason, or takes the reason back. */
export function off(button, reason, value) {
  if (!reasons.has(button)) reasons.set(button, new Set());
  reasons.get(button)[value ? "add" : "delete"](reason);
  refresh(button);
}

/** A button that decides, or leads to where it is decided. */
export function decision(label, act, { kind = "", type = "button", title = null } = {}) {
  const button = element("button", { type, class: kind, title, "data-decides": true }, label);
  if (type === "button") {
    button.addEventListener("click", () => {
      if (isStill()) act();
    });
  }
  refresh(button);
  return button;
}

/** A group of them. */
export function decisions(...buttons) {
  const group = element("div", { class: "decides" }, ...buttons);
  group.inert = !isStill();
  return group;
}

/**
 * A form whose button decides. A key typed in its own field goes where it is aimed, so only clicks
 * are held against what moves.
 */
export function form({ label, kind = "first", fields, act, beside = [] }) {
  const button = decision(label, () => {}, { type: "submit", kind });
  const node = element(
    "form",
    { class: "answer", novalidate: true },
    ...fields,
    decisions(button, ...beside),
  );
  node.addEventListener("submit", (event) => {
    event.preventDefault();
    const typed = node.contains(document.activeElement) && document.activeElement !== button;
    if (button.disabled || !(typed || isStill())) return;
    act();
  });
  // A text of several lines is sent by Enter with a modifier.
  node.addEventListener("keydown", (event) => {
    const several = event.target instanceof HTMLTextAreaElement;
    if (event.key === "Enter" && several && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      node.requestSubmit(button);
    }
  });
  return node;
}

let hear = () => {};
/** What is called with a sentence for the person after each deed. */
export function onDone(heard) {
  hear = heard;
}

/**
 * What a card does. One deed at a time: its buttons are off meanwhile, and what went wrong stands in
 * `complaint` with the next step.
 */
export class Deeds {
  constructor(scope) {
    this.scope = scope;
    this.complaint = element("div", { class: "complaint", role: "alert", hidden: true });
    this.busy = false;
  }

  complain(message, nextStep = null) {
    this.complaint.hidden = false;
    this.complaint.replaceChildren(
      element("p", {}, shown(message)),
      nextStep ? element("p", { class: "faint" }, shown(nextStep)) : "",
    );
  }

  async perform(name, body, sentence) {
    if (this.busy) return false;
    this.setBusy(true);
    this.complaint.hidden = true;
    try {
      const answer = await call(name, body);
      hear(sentence(answer));
      return true;
    } catch (error) {
      if (error instanceof Refused) {
        this.complain(error.message, error.nextStep);
      } else if (error instanceof Gone) {
        this.complain(
          "nobody answered; it is not known whether that was done",
          "look again when the page is back",
        );
      } else throw error;
      // What was refused may not be there any more at the next look, nor what stands beside it.
      hear(plain(error.message));
      return false;
    } finally {
      this.setBusy(false);
    }
  }

  setBusy(value) {
    this.busy = value;
    this.scope.toggleAttribute("aria-busy", value);
    for (const button of this.scope.querySelectorAll("button[data-decides]")) off(button, "busy", value);
  }
}
