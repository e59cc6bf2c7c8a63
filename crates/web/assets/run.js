// The run that is open: how it stands, its stages, what they wrote, what it changed, and what can
// be done about it.

import { Entries, element, put, refill } from "./dom.js";
import { Deeds, decision, decisions, form, unsettle, watchSize } from "./decide.js";
import { block, count, counted, length, plain, shown, tail, time } from "./text.js";
import { addressOf } from "./address.js";
import { copyable } from "./inbox.js";
import { firstLine, sign, waitsFor, word } from "./runs.js";
import { Log } from "./log.js";
import { Changes } from "./changes.js";

/** The view of one run, from when it is opened to when it is closed. */
export class RunView {
  /** `goTo(question)` brings a card of the inbox into view; `close` closes this. */
  constructor({ run, repo, goTo, close }) {
    Object.assign(this, { run, repo, goTo, document: null, chosen: null });
    this.title = element("h2", {}, "run ", tail(run));
    const closer = element(
      "button",
      { type: "button", class: "quiet close", title: "Close (Escape)", click: close },
      element("span", { class: "when-narrow" }, "← All"),
      element("span", { class: "when-wide" }, "Close"),
    );
    this.error = element("div", { class: "complaint", hidden: true });
    this.facts = element("p", { class: "facts" });
    this.detail = element("div", { class: "run-detail" });
    this.waits = element("div", {});
    this.doing = element("div", { class: "doing" });
    this.deeds = new Deeds(this.doing);
    this.makeForms();
    this.row = decisions();
    this.row.classList.add("deeds");
    this.doing.append(this.row, this.cancelForm, this.messageForm);
    this.parts = element("div", { class: "parts", hidden: true });
    this.stages = element("ol", { class: "stages" });
    this.stageRows = new Entries(
      this.stages,
      (stage) => stage.id,
      (stage) => new Stage(stage, (id) => this.choose(id)),
    );
    this.output = element("section", { hidden: true });
    this.outputTitle = element("h3", {});
    this.stageFacts = element("div", { class: "stage-facts" });
    this.log = new Log(repo, run);
    this.output.append(this.outputTitle, this.stageFacts, this.log.node);
    this.changes = new Changes(repo, run);
    [this.children, this.use, this.caps, this.leftOut, this.record] = [0, 1, 2, 3, 4].map(() =>
      element("section", { hidden: true }),
    );
    this.parts.append(
      element("section", {}, element("h3", {}, "Stages"), this.stages),
      this.output,
      this.changes.node,
      this.children,
      this.use,
      this.caps,
      this.leftOut,
      this.record,
    );
    this.node = element(
      "div",
      { class: "open-run" },
      element("header", {}, this.title, closer),
      this.error,
      this.facts,
      this.detail,
      this.waits,
      this.doing,
      this.deeds.complaint,
      this.parts,
    );
    watchSize(this.detail);
    watchSize(this.waits);
  }

  /** Ends what it does by itself. */
  stop() {
    this.log.stop();
  }

  /** Nothing has changed but what its stage writes. */
  wake() {
    this.log.wake();
  }

  show(run, error) {
    this.error.hidden = error === null;
    refill(this.error, error, () => [
      element("p", {}, shown(error?.message ?? "")),
      error?.next_step ? element("p", { class: "faint" }, shown(error.next_step)) : null,
    ]);
    if (run === null) return;
    this.document = run;
    this.parts.hidden = false;
    this.showHead(run);
    this.showDoing(run);
    const depths = new Map();
    this.stageRows.show(
      run.commands.map((stage) => {
        const depth = stage.parent ? (depths.get(stage.parent) ?? 0) + 1 : 0;
        depths.set(stage.id, depth);
        return { ...stage, depth };
      }),
    );
    this.showOutput(run);
    this.changes.show(run);
    const hasFamily = run.child_runs.length > 0 || run.parent_run_id !== null;
    section(this.children, hasFamily, [run.child_runs, run.parent_run_id], () => this.family(run));
    section(this.use, run.usage !== null || run.limits !== null, [run.usage, run.limits], () => usage(run));
    section(this.caps, run.caps !== null, run.caps, () => caps(run.caps));
    section(this.leftOut, run.left_out.length > 0, run.left_out, () => leftOut(run.left_out));
    const { manifest, events_path, log_path, worktree, codex, repo, host, supervision } = run;
    section(
      this.record,
      true,
      [manifest, events_path, log_path, worktree, codex?.thread_id, repo, host, supervision],
      () => record(run),
    );
  }

  showHead(run) {
    refill(this.title, [run.status, run.pipeline_title, run.pipeline_id], () => [
      sign(run.status),
      element("span", { class: "name" }, shown(firstLine(run.pipeline_title || run.pipeline_id))),
      element("span", { class: `state ${plain(run.status)}` }, word(run.status)),
    ]);
    refill(
      this.facts,
      [run.status, run.task_id, run.started_at, run.completed_at, run.foreign, run.live],
      () => [
        element("span", { class: "mono" }, tail(run.run_id)),
        element("span", {}, "task ", shown(run.task_id)),
        run.pipeline_title &&
          run.pipeline_title !== run.pipeline_id &&
          element("span", {}, "pipeline ", shown(firstLine(run.pipeline_id))),
        run.completed_at
          ? [
              element("span", {}, "ended ", time(run.completed_at, "ago")),
              element("span", {}, "took ", took(run) ?? "no time"),
            ]
          : run.started_at && element("span", {}, "for ", took(run)),
        run.foreign && element("span", { class: "tag" }, "a copy, or of another user or machine: only shown"),
      ],
    );
    refill(this.detail, [run.status_detail, run.summary, run.goal], () => [
      run.status_detail &&
        element(
          "p",
          { class: run.status === "failed" || run.status === "interrupted" ? "bad" : "" },
          shown(run.status_detail),
        ),
      run.summary && element("p", { class: "faint" }, shown(run.summary)),
      run.goal &&
        element("div", { class: "part" }, element("p", { class: "label" }, "Goal"), block(run.goal)),
    ]);
    refill(this.waits, run.waiting, () => {
      const { waiting } = run;
      if (!waiting) return [];
      return element(
        "p",
        { class: "callout" },
        element("span", { "aria-hidden": "true" }, "? "),
        `It ${waitsFor(waiting)}, `,
        time(waiting.since, "since"),
        " so far",
        waiting.until
          ? [
              ", until ",
              new Date(waiting.until).toLocaleTimeString(),
              " (",
              time(waiting.until, "until"),
              ")",
            ]
          : "",
        ". ",
        waiting.id &&
          element(
            "button",
            { type: "button", class: "quiet", click: () => this.goTo(waiting.id) },
            "Show what it asks",
          ),
      );
    });
  }

  /** What fits how it stands. What is being typed stays. */
  showDoing(run) {
    const hasThread = run.commands.some((stage) => stage.kind === "codex");
    const can =
      {
        queued: ["pause", "cancel"],
        in_progress: ["pause", "cancel"],
        paused: ["resume", "cancel"],
        interrupted: ["resume", "cancel"],
        failed: ["resume"],
        cancelled: ["resume"],
      }[run.status] ?? [];
    const set = run.foreign ? [] : [...can, ...(hasThread ? ["message"] : [])];
    if (can.includes("pause") && hasThread) set.splice(1, 0, "freeze");
    if (run.foreign === false && run.origin === "session") set.length = 0;
    if (this.row.filledWith === JSON.stringify([set, run.status])) return;
    const again = {
      failed: "Resume at the first unfinished stage",
      cancelled: "Resume at the first unfinished stage",
      interrupted: "Take up again",
    };
    const buttons = {
      pause: () =>
        decision("Pause", () => this.act("pause", {}), {
          title: hasThread ? "At the end of its turn" : "Freezes its processes",
        }),
      freeze: () =>
        decision("Freeze now", () => this.act("pause", { freeze: true }), {
          title: "In the middle of its turn",
        }),
      resume: () => decision(again[run.status] ?? "Resume", () => this.act("resume", {}), { kind: "first" }),
      cancel: () => decision("Cancel…", () => this.open(this.cancelForm), { kind: "quiet no" }),
      message: () => decision("Message…", () => this.open(this.messageForm), { kind: "quiet" }),
    };
    refill(this.row, [set, run.status], () => set.map((name) => buttons[name]()));
    // What was typed stays, in case the deed is possible again.
    for (const [deed, panel] of [
      ["cancel", this.cancelForm],
      ["message", this.messageForm],
    ]) {
      if (!set.includes(deed)) panel.hidden = true;
    }
    unsettle();
  }

  makeForms() {
    const reason = element("input", { type: "text", autocomplete: "off", maxlength: 4000 });
    this.messageField = element("textarea", { rows: 3 });
    const back = (what) => decision("Back", () => this.closeForm(what()));
    this.cancelForm = form({
      label: "Cancel the run",
      kind: "no",
      fields: [
        element(
          "p",
          { class: "note" },
          "Every process of it, and of the runs below it, is stopped. Record, output and work tree stay, and it can be resumed.",
        ),
        element("label", {}, "Reason, if you like", reason),
      ],
      act: () => this.act("cancel", reason.value.trim() === "" ? {} : { reason: reason.value }),
      beside: [back(() => this.cancelForm)],
    });
    this.messageForm = form({
      label: "Send",
      fields: [element("label", {}, "One more instruction for its Codex thread", this.messageField)],
      act: async () => {
        const text = this.messageField.value;
        if (text.trim() === "") return this.deeds.complain("there is no message yet", "type one");
        if (await this.act("message", { text })) {
          this.messageField.value = "";
          this.closeForm(this.messageForm);
        }
      },
      beside: [back(() => this.messageForm)],
    });
    for (const panel of [this.cancelForm, this.messageForm]) {
      panel.classList.add("panel");
      panel.hidden = true;
      panel.addEventListener("keydown", (event) => {
        if (event.key !== "Escape") return;
        event.stopPropagation();
        this.closeForm(panel);
      });
    }
  }

  open(panel) {
    for (const other of [this.cancelForm, this.messageForm]) other.hidden = other !== panel;
    panel.querySelector("input, textarea").focus();
    unsettle();
  }

  closeForm(panel) {
    panel.hidden = true;
    unsettle();
    this.node.closest("article")?.focus({ preventScroll: true });
  }

  act(name, body) {
    return this.deeds.perform(name, { repo: this.repo, run: this.run, ...body }, (answer) =>
      plain(answer.said),
    );
  }

  // Stages and their output

  choose(id) {
    this.chosen = id;
    this.showOutput(this.document);
  }

  showOutput(run) {
    const find = (test) => run.commands.find(test);
    const stage =
      find((one) => one.id === this.chosen) ??
      find((one) => one.status === "running" && one.kind !== "pipeline") ??
      find((one) => one.status === "failed" && one.kind !== "pipeline" && !one.allow_failure) ??
      run.commands.findLast((one) => one.log_path !== null);
    for (const { mark } of this.stageRows.shown.values()) mark(stage?.id);
    this.output.hidden = stage === undefined;
    if (stage === undefined) return;
    refill(this.outputTitle, stage.id, () => [
      "Output of ",
      element("span", { class: "mono" }, shown(stage.id)),
    ]);
    const { id, command, error, exit_code, signal, codex } = stage;
    refill(this.stageFacts, [id, command, error, exit_code, signal, codex], () => stageFacts(stage));
    this.log.follow(stage);
  }

  family(run) {
    // Runs of other repositories are named by absolute paths.
    const repoOf = ({ manifest }) => (manifest.startsWith("/") ? manifest.split("/.runs/")[0] : this.repo);
    const parentRepo = run.grant?.parent_root ?? this.repo;
    return [
      element("h3", {}, run.child_runs.length > 0 ? "Runs it started" : "Started by"),
      run.child_runs.length > 0 &&
        element(
          "ul",
          { class: "rows" },
          run.child_runs.map((child) =>
            element(
              "li",
              {},
              element(
                "a",
                { href: addressOf(child.run_id, repoOf(child)) },
                sign(child.status),
                element("span", { class: "name" }, shown(firstLine(child.pipeline_id))),
                element("span", { class: "mono faint tail" }, tail(child.run_id)),
                element("span", { class: "more" }, word(child.status)),
              ),
            ),
          ),
        ),
      run.parent_run_id &&
        element(
          "p",
          {},
          run.child_runs.length > 0 ? "It was started by run " : "Run ",
          element(
            "a",
            { href: addressOf(run.parent_run_id, parentRepo), class: "mono" },
            tail(run.parent_run_id),
          ),
        ),
    ];
  }
}

class Stage {
  constructor(stage, choose) {
    this.button = element("button", { type: "button", class: "stage", click: () => choose(stage.id) });
    this.node = element("li", {}, this.button);
    this.mark = (chosen) => this.button.setAttribute("aria-pressed", String(chosen === stage.id));
  }

  update(stage) {
    refill(this.button, stage, () => [
      sign(stage.status),
      element("span", { class: "name" }, shown(stage.id)),
      element(
        "span",
        { class: "about" },
        stage.title && stage.title !== stage.id && element("span", { class: "faint" }, shown(stage.title)),
        stage.kind !== "command" && element("span", { class: "tag" }, plain(stage.kind)),
      ),
      element(
        "span",
        { class: "took" },
        stage.attempts > 1 && `${counted(stage.attempts, "try").replace("trys", "tries")} · `,
        took(stage) ?? "",
        " ",
        element(
          "span",
          { class: `state ${plain(stage.status)}` },
          word(stage.status),
          stage.allow_failure && stage.status === "failed" ? ", which it may" : "",
        ),
      ),
      (stage.error || stage.summary) &&
        element(
          "span",
          { class: `more${stage.error ? " bad" : ""}` },
          shown(firstLine(stage.error || stage.summary)),
        ),
    ]);
    this.button.dataset.depth = String(Math.min(stage.depth, 4));
  }
}

/** A part of the view that is there only where there is something to say. */
function section(node, isThere, value, children) {
  node.hidden = !isThere;
  if (isThere) refill(node, value, children);
}

function leftOut(checks) {
  return [
    element("h3", {}, "Not checked"),
    element(
      "ul",
      { class: "plain" },
      checks.map(({ what, why, remedy }) =>
        element(
          "li",
          {},
          element("strong", {}, shown(what)),
          ": ",
          shown(why),
          element("br"),
          element("span", { class: "faint" }, shown(remedy)),
        ),
      ),
    ),
  ];
}

function took({ started_at: started, completed_at: completed }) {
  if (!started) return null;
  if (!completed) return time(started, "since");
  return length(Date.parse(completed) - Date.parse(started));
}

function stageFacts(stage) {
  const { codex } = stage;
  const ended = [
    stage.exit_code !== null &&
      !stage.error?.includes(`exit code ${stage.exit_code}`) &&
      `exit code ${stage.exit_code}`,
    stage.signal !== null && `signal ${stage.signal}`,
    codex?.model && `model ${plain(codex.model)}`,
    codex?.verify && `verify: ${plain(codex.verify)}`,
    codex?.messages_waiting > 0 && `${counted(codex.messages_waiting, "message")} not heard yet`,
  ].filter(Boolean);
  return [
    stage.command && block(stage.command, { exact: true, kind: "exact" }),
    stage.error && element("p", { class: "bad" }, shown(stage.error)),
    ended.length > 0 &&
      element(
        "p",
        { class: "facts" },
        ended.map((fact) => element("span", {}, fact)),
      ),
    codex?.last_message &&
      element(
        "div",
        { class: "part" },
        element("p", { class: "label" }, "It said last"),
        block(codex.last_message),
      ),
  ];
}

function facts(rows) {
  return element(
    "dl",
    {},
    rows
      .filter(Boolean)
      .flatMap(([name, ...value]) => [element("dt", {}, name), element("dd", {}, ...value)]),
  );
}

function usage({ usage: used, limits }) {
  const of = (spent, limit, write) =>
    limit === null || limit === undefined ? write(spent) : `${write(spent)} of ${write(limit)}`;
  const none = { input: 0, cached_input: 0, output: 0, reasoning_output: 0, turns: 0, work_ms: 0 };
  const {
    input,
    cached_input: cached,
    output,
    reasoning_output: reasoning,
    turns,
    work_ms: work,
  } = used ?? none;
  return [
    element("h3", {}, limits ? "Usage and budget" : "Usage"),
    facts([
      ["tokens", of(input - cached + output, limits?.tokens, count)],
      used && [
        "",
        element(
          "span",
          { class: "faint" },
          `${count(input)} read, ${count(cached)} of them cached; ${count(output)} written, ${count(reasoning)} of them reasoning`,
        ),
      ],
      ["turns", of(turns, limits?.turns, count)],
      ["at work", of(work, limits?.work_ms, length)],
      limits && [
        "when spent",
        limits.then === "fail" ? "it fails" : "it is paused; resuming grants the same again",
      ],
    ]),
  ];
}

function caps({ effective, enforced, denied, widened = [], not_started: notStarted = [] }) {
  const list = (items) =>
    items.length > 0
      ? items.flatMap((item, at) => [at > 0 && ", ", element("code", {}, shown(item))])
      : ["nothing"];
  const table = (tools) =>
    Object.entries(tools ?? {}).map(([server, names]) => `${server}: ${[names].flat().join(", ")}`);
  const stages = Object.entries(effective).map(([stage, may]) => {
    const { network, fs, tools } = may;
    const reach = { none: ["none"], open: ["all of it"], list: list(network.allow) }[network.mode] ?? [
      plain(network.mode),
    ];
    return element(
      "div",
      { class: "part" },
      element("p", { class: "label" }, "Stage ", shown(stage)),
      facts([
        ["network", ...reach, network.forward.length > 0 ? [", and here ", ...list(network.forward)] : ""],
        ["may write", ...list(fs.write)],
        fs.hide.length > 0 && ["hidden", ...list(fs.hide)],
        Object.keys(tools.mcp ?? {}).length > 0 && ["tools", ...list(table(tools.mcp))],
        enforced[stage] === null && [
          "kept by",
          element("span", { class: "warning" }, "! nothing: it runs all the same"),
        ],
        denied[stage] > 0 && ["denied", counted(denied[stage], "time")],
      ]),
    );
  });
  return [
    element("h3", {}, "What it may do"),
    ...stages,
    widened.length > 0 &&
      element(
        "div",
        { class: "part" },
        element("p", { class: "label" }, "Allowed beside that"),
        element(
          "ul",
          { class: "plain" },
          widened.map((more) =>
            element(
              "li",
              {},
              element("code", {}, shown(more.what)),
              more.stage_id ? [" in stage ", shown(more.stage_id)] : "",
              " · ",
              time(more.at, "ago"),
            ),
          ),
        ),
      ),
    notStarted.length > 0 &&
      element(
        "div",
        { class: "part" },
        element("p", { class: "label" }, "MCP servers that did not start"),
        element(
          "ul",
          { class: "plain" },
          notStarted.map((one) => element("li", {}, shown(one.server), ": ", shown(one.reason))),
        ),
      ),
  ];
}

function record(run) {
  const within = (path) => (path.startsWith("/") ? path : `${run.repo_root}/${path}`);
  return [
    element("h3", {}, "Record"),
    facts([
      ["manifest", copyable(within(run.manifest))],
      run.events_path && ["events", copyable(within(run.events_path))],
      run.log_path && ["output", copyable(within(run.log_path))],
      run.worktree && ["work tree", copyable(run.worktree.path)],
      run.worktree && ["branch", copyable(run.worktree.branch)],
      run.codex?.thread_id && ["thread", copyable(run.codex.thread_id)],
      run.repo?.commit && [
        "began at",
        element("code", {}, plain(run.repo.commit.slice(0, 12))),
        run.repo.branch ? [" on ", shown(run.repo.branch)] : "",
        run.repo.dirty ? ", with uncommitted work" : "",
      ],
      run.host && [
        "runner",
        `process ${run.host.pid} on `,
        shown(run.host.hostname),
        run.supervision?.rung ? `, held by ${plain(run.supervision.rung)}` : "",
      ],
    ]),
  ];
}
