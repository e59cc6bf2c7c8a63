// The runs there are, in groups, and what is allowed to all runs of the repository.

import { Entries, element, put } from "./dom.js";
import { Deeds, decision, decisions, unsettle, watchSize } from "./decide.js";
import { block, count, length, lastPart, plain, shown, tail, time } from "./text.js";
import { addressOf } from "./address.js";

const STATES = {
  queued: ["·", "queued"],
  in_progress: ["▸", "running"],
  paused: ["‖", "paused"],
  succeeded: ["✓", "succeeded"],
  failed: ["✗", "failed"],
  cancelled: ["■", "cancelled"],
  interrupted: ["!", "interrupted"],
  pending: ["·", "pending"],
  running: ["▸", "running"],
  skipped: ["-", "skipped"],
};

/** The sign of a state, which the word stands beside. */
export function sign(status) {
  return element(
    "span",
    { class: `sign ${plain(status)}`, "aria-hidden": "true" },
    STATES[status]?.[0] ?? "?",
  );
}

/** The word for a state. */
export function word(status) {
  return STATES[status]?.[1] ?? plain(status);
}

/** What a run waits for, in words. */
export function waitsFor(waiting) {
  return (
    {
      answer: "waits for an answer",
      approval: "waits for an approval",
      confirmation: "waits for a confirmation",
      usage_limit: "waits for the account’s usage limit",
      budget: "waits for more budget",
      slot: "waits for one of its parent’s runs to end",
    }[waiting.for] ?? `waits for ${plain(waiting.for)}`
  );
}

export class Runs {
  constructor(section) {
    this.empty = element(
      "div",
      { class: "empty", hidden: true },
      element("p", {}, "Nothing has been run here yet."),
      element(
        "p",
        { class: "faint" },
        element("code", {}, "codex-orch start"),
        " builds, lints and tests what is here.",
      ),
    );
    section.append(this.empty);
    this.groups = new Entries(
      section,
      (group) => group.group,
      () => new Group(),
    );
  }

  show(groups, open) {
    this.empty.hidden = groups.some((group) => group.total > 0);
    const some = groups.filter((group) => group.runs.length > 0);
    this.groups.show(some.map((group) => ({ ...group, open })));
  }
}

class Group {
  constructor() {
    this.title = element("h2", {});
    this.count = element("span", { class: "count" });
    this.name = element("span", {});
    this.title.append(this.name, " ", this.count);
    const list = element("ul", { class: "rows" });
    this.node = element("section", {}, this.title, list);
    this.rows = new Entries(
      list,
      (run) => `${run.repo_root} ${run.run_id}`,
      (run) => new Row(run),
    );
  }

  update({ group, runs, total, open }) {
    put(this.name, group.charAt(0).toUpperCase() + group.slice(1));
    put(this.count, total > runs.length ? `the newest ${runs.length} of ${count(total)}` : String(total));
    this.rows.show(runs.map((run) => ({ ...run, isOpen: run.run_id === open })));
  }
}

class Row {
  constructor(run) {
    this.link = element("a", { href: addressOf(run.run_id, run.repo_root) });
    this.node = element("li", {}, this.link);
  }

  update(run) {
    if (run.isOpen) this.link.setAttribute("aria-current", "true");
    else this.link.removeAttribute("aria-current");
    const { isOpen, ...shownRun } = run;
    const said = JSON.stringify(shownRun);
    if (said === this.said) return;
    this.said = said;
    const detail = run.waiting ? waitsFor(run.waiting) : run.status_detail;
    const isOver = run.completed_at !== null;
    this.link.replaceChildren(
      sign(run.status),
      element("span", { class: "name" }, shown(firstLine(run.pipeline_title || run.pipeline_id))),
      element("span", { class: "mono faint tail" }, tail(run.run_id)),
      element(
        "span",
        { class: "more" },
        element("span", { class: `state ${plain(run.status)}` }, word(run.status)),
        " · ",
        shown(run.task_id),
        element("span", { class: "repo", title: plain(run.repo_root) }, " · ", lastPart(run.repo_root)),
        " · ",
        isOver ? time(run.completed_at, "ago") : time(run.started_at ?? run.created_at, "since"),
        isOver &&
          run.started_at &&
          `, took ${length(Date.parse(run.completed_at) - Date.parse(run.started_at))}`,
      ),
      detail
        ? element("span", { class: `detail${run.waiting ? " waits" : ""}` }, shown(firstLine(detail)))
        : "",
    );
  }
}

/** The first line of a text, for where there is one line. */
export function firstLine(text) {
  const [line, ...rest] = String(text).split("\n");
  return rest.length > 0 || line.length > 300 ? `${line.slice(0, 300)} …` : line;
}

export class Standing {
  constructor(section) {
    this.section = section;
    section.hidden = true;
    const list = element("div", { class: "cards" });
    section.append(element("h2", { id: "standing-title" }, "Allowed for this repository"), list);
    this.entries = new Entries(
      list,
      (entry) => JSON.stringify(entry),
      (entry) => new Permit(entry),
    );
  }

  show(entries) {
    this.section.hidden = entries.length === 0;
    if (this.entries.show(entries)) unsettle();
  }
}

class Permit {
  constructor(entry) {
    this.node = element("article", { class: "card permit" });
    const deeds = new Deeds(this.node);
    const id = plain(entry.question_id);
    const revoke = decision("Take back", () =>
      deeds.perform(
        "revoke",
        { repo: entry.repo_root, id: entry.question_id },
        () => `${id} is taken back: it is asked for again`,
      ),
    );
    this.node.append(
      block(entry.what, { exact: true, kind: "prose" }),
      element(
        "div",
        { class: "between" },
        element(
          "p",
          { class: "note" },
          time(entry.at, "ago"),
          " · ",
          element("span", { class: "mono" }, id),
          element("span", { class: "repo", title: plain(entry.repo_root) }, " · ", lastPart(entry.repo_root)),
          " · asked by ",
          element("a", { class: "mono", href: addressOf(entry.run_id, entry.repo_root) }, tail(entry.run_id)),
        ),
        decisions(revoke),
      ),
      deeds.complaint,
    );
    watchSize(this.node);
  }
}
