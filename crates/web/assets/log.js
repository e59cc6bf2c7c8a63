// What a stage writes, followed while it writes.

import { element, put } from "./dom.js";
import { shown, withoutEscapes } from "./text.js";
import { Refused, call } from "./api.js";

const KEPT_LINES = 2000;
const LONGEST = 2000;
const EVERY = 1000;
// Who writes faster than this is followed at the end, and not from where one was.
const FARTHEST = 256 * 1024;

export class Log {
  constructor(repo, run) {
    Object.assign(this, {
      repo,
      run,
      stage: null,
      key: null,
      isAsking: false,
      again: false,
      timer: 0,
      isStopped: false,
    });
    this.note = element("p", { class: "note" });
    this.text = element("pre", { class: "log", tabindex: "0", "aria-label": "Output" });
    this.node = element("div", {}, this.note, this.text);
    this.restart();
  }

  restart() {
    Object.assign(this, { next: null, size: 0, partial: "", isCut: false, isDeleted: false });
    this.open = element("span", {});
    this.text.replaceChildren(this.open);
    this.text.hidden = true;
    put(this.note, "");
  }

  /** Shows the output of that stage, from here on. */
  follow(stage) {
    // Another try writes another log.
    const key = JSON.stringify([stage.id, stage.attempts]);
    if (key !== this.key) {
      this.key = key;
      this.restart();
    }
    this.stage = stage;
    if (stage.log_path === null && stage.status !== "running") {
      put(
        this.note,
        { pending: "It has not begun.", skipped: "It was not started." }[stage.status] ?? "It wrote nothing.",
      );
      return;
    }
    this.look();
  }

  /** Looks again, if there is anything to look at. */
  wake() {
    if (this.stage?.status === "running") this.look();
  }

  stop() {
    this.isStopped = true;
    clearTimeout(this.timer);
  }

  async look() {
    clearTimeout(this.timer);
    if (this.isAsking) {
      this.again = true;
      return;
    }
    this.isAsking = true;
    const { key, stage, repo, run } = this;
    try {
      do {
        this.again = false;
        const from = this.next === null ? {} : { from: this.next };
        const part = await call("log", { repo, run, stage: stage.id, ...from });
        if (this.isStopped) return;
        if (key !== this.key) break;
        const isOther = this.next !== null && part.size < this.next;
        if (isOther || part.size - part.next > FARTHEST) {
          this.restart();
          this.again = true;
        } else {
          this.add(part);
          if (part.next < part.size && part.next > part.from) this.again = true;
        }
      } while (this.again);
    } catch (error) {
      if (!this.isStopped && key === this.key && error instanceof Refused) put(this.note, error.message);
    } finally {
      this.isAsking = false;
    }
    if (this.isStopped) return;
    if (key !== this.key) return this.look();
    if (this.stage.status === "running" && !document.hidden)
      this.timer = setTimeout(() => this.look(), EVERY);
  }

  add({ from, next, size, text, deleted }) {
    if (this.next === null && from > 0) this.isCut = true;
    Object.assign(this, { next, size, isDeleted: deleted });
    const isAtEnd = this.text.scrollTop + this.text.clientHeight >= this.text.scrollHeight - 4;
    const wasHidden = this.text.hidden;
    if (text !== "") {
      const lines = (this.partial + text).split("\n");
      this.partial = lines.pop();
      // What follows may complete an escape that is cut; it is not kept for ever.
      if (this.partial.length > 64 * 1024) this.partial = this.partial.slice(-LONGEST);
      const kept = lines.slice(-KEPT_LINES);
      if (kept.length < lines.length) this.isCut = true;
      this.open.before(...kept.map((line) => element("span", {}, shown(asSeen(line)), "\n")));
      this.open.replaceChildren(shown(asSeen(this.partial)));
      while (this.text.childElementCount > KEPT_LINES + 1) {
        this.text.firstElementChild.remove();
        this.isCut = true;
      }
    }
    this.text.hidden = this.text.textContent === "";
    const isRunning = this.stage.status === "running";
    if (deleted) put(this.note, "The output was deleted.");
    else if (this.text.hidden)
      put(this.note, isRunning ? "It has not written anything yet." : "It wrote nothing.");
    else put(this.note, this.isCut ? "Its last lines; what came before them is in the file." : "");
    if (isAtEnd || wasHidden) this.text.scrollTop = this.text.scrollHeight;
  }
}

/** A line as a terminal leaves it: what a carriage return goes back over is not there any more. */
function asSeen(line) {
  const said = withoutEscapes(line).replace(/\r+$/, "");
  const last = said.slice(said.lastIndexOf("\r") + 1);
  return last.length > LONGEST ? `${last.slice(0, LONGEST)} …` : last;
}
