// What waits for a person: a card for each question, approval and confirmation.

import { Entries, element } from "./dom.js";
import { Deeds, decision, decisions, form, off, unsettle, watchSize } from "./decide.js";
import { block, counted, hasBeyondAscii, lastPart, plain, pretty, shown, tail, time } from "./text.js";
import { addressOf } from "./address.js";
import { painted } from "./changes.js";

/** The inbox in that section. `isMany` says whether entries may be of several repositories. */
export class Inbox {
  constructor(section) {
    this.title = element("h2", { id: "inbox-title", tabindex: "-1" }, "Waiting for you");
    this.count = element("span", { class: "count" });
    this.title.append(" ", this.count);
    this.empty = element("p", { class: "faint empty" }, "Nothing waits for you.");
    const cards = element("div", { class: "cards" });
    section.append(this.title, this.empty, cards);
    // A card is all that it says: when any of that changes it is another card, and has to be read anew.
    this.entries = new Entries(
      cards,
      (entry) => JSON.stringify(entry),
      (entry) => new Card(entry),
    );
    this.known = null;
  }

  /** Shows these, and gives those that were not there before. */
  show(entries, isMany) {
    document.body.toggleAttribute("data-many", isMany);
    this.count.textContent = entries.length > 0 ? String(entries.length) : "";
    this.empty.hidden = entries.length > 0;
    if (this.entries.show(entries)) unsettle();
    const known = this.known;
    this.known = new Set(entries.map((entry) => entry.question_id));
    return known === null ? [] : entries.filter((entry) => !known.has(entry.question_id));
  }

  /** Brings the card of that question into view, and says whether there is one. */
  goTo(id) {
    const node = document.getElementById(`card-${id}`);
    if (node === null) return false;
    node.scrollIntoView({ block: "start" });
    node.focus({ preventScroll: true });
    node.toggleAttribute("data-aimed", true);
    node.addEventListener("blur", () => node.toggleAttribute("data-aimed", false), { once: true });
    return true;
  }
}

const KINDS = { question: "Question", approval: "Approval", confirmation: "Confirmation" };

class Card {
  constructor(entry) {
    this.entry = entry;
    this.node = element("article", {
      class: `card ${entry.kind}`,
      id: `card-${plain(entry.question_id)}`,
      tabindex: "-1",
      "aria-label": `${KINDS[entry.kind] ?? "Something"} of run ${tail(entry.run_id)}`,
    });
    this.deeds = new Deeds(this.node);
    this.unread = 0;
    this.assents = [];
    // What is wrong is told below what it is about.
    const body = this.body();
    const complaint = body.includes(this.deeds.complaint) ? [] : [this.deeds.complaint];
    this.node.append(this.head(), ...body, ...complaint, ...this.foot());
    this.checkRead();
    watchSize(this.node);
  }

  head() {
    const { entry } = this;
    const urgency = { high: "urgent", low: "not urgent" }[entry.urgency];
    return element(
      "header",
      {},
      element(
        "h3",
        {},
        element("span", { class: "sign", "aria-hidden": "true" }, "?"),
        KINDS[entry.kind] ?? "Asked",
      ),
      urgency && element("span", { class: `tag ${entry.urgency}` }, urgency),
      element(
        "span",
        { class: "of" },
        "run ",
        element("a", { href: addressOf(entry.run_id, entry.repo_root), class: "mono" }, tail(entry.run_id)),
        " · ",
        shown(entry.task_id),
        entry.stage_id && [" · stage ", shown(entry.stage_id)],
        element("span", { class: "repo", title: plain(entry.repo_root) }, " · ", lastPart(entry.repo_root)),
        " · ",
        time(entry.asked_at, "ago"),
      ),
    );
  }

  /** A block that has to be read to its end before anything is allowed. */
  toRead(text, kind = "exact", write = undefined) {
    this.unread += 1;
    return block(text, {
      exact: kind === "exact",
      kind,
      write,
      whenShown: () => {
        this.unread -= 1;
        this.checkRead();
      },
    });
  }

  checkRead() {
    if (this.assents === undefined) return;
    for (const button of this.assents) off(button, "unread", this.unread > 0);
    if (this.unreadNote) this.unreadNote.hidden = this.unread === 0;
  }

  part(label, ...content) {
    return element("div", { class: "part" }, element("p", { class: "label" }, label), ...content);
  }

  body() {
    switch (this.entry.kind) {
      case "question":
        return this.question();
      case "approval":
        return this.approval();
      default:
        return this.confirmation();
    }
  }

  // Questions

  question() {
    const { entry } = this;
    const notes = [];
    if (typeof entry.default === "string") {
      notes.push([
        "without an answer it would take ",
        element("q", {}, shown(entry.default)),
        " for granted",
      ]);
    }
    if (entry.held?.by === "thread") notes.push(["its thread stands still until then"]);
    if (entry.held?.by === "server") notes.push(["MCP server ", shown(entry.held.name), " waits for it"]);
    if (entry.auto_pause) notes.push(["no further stage begins before it is answered"]);
    return [
      block(entry.prompt),
      ...this.inputs(),
      this.deeds.complaint,
      notes.length > 0 &&
        element("ul", { class: "notes" }, ...notes.map((note) => element("li", {}, ...note))),
      this.reveal({
        open: "Dismiss…",
        label: "Dismiss",
        says: "The run goes on without an answer.",
        act: (reason) => this.resolve("dismiss", { reason }, "dismissed"),
      }),
    ].filter(Boolean);
  }

  answer(text) {
    return this.resolve("answer", { text }, "answered");
  }

  /** What fits the shape of the answer. */
  inputs() {
    const { options = [], shape } = this.entry;
    switch (shape?.type) {
      case "several":
        return [this.several(options, shape)];
      case "number":
        return [this.number(shape)];
      case "text":
        return [this.text(shape)];
      case "other":
        return [this.options(options), this.text({}, "Another answer")];
      default:
        return [options.length > 0 ? this.options(options) : this.text({})];
    }
  }

  options(options) {
    const buttons = options.map((option) => {
      return decision(shown(option), () => this.answer(option));
    });
    const group = decisions(...buttons);
    group.classList.add("options");
    return group;
  }

  text({ least, most, format }, label = "Your answer") {
    const type = { email: "email", uri: "url", date: "date", "date-time": "datetime-local" }[format];
    const isMoment = format === "date-time";
    const field = type
      ? element("input", { type, step: isMoment && 1, autocomplete: "off" })
      : element("textarea", { rows: 2, spellcheck: "true" });
    const bounds = between(least, most, "character");
    const title = isMoment ? `${label}, by your clock` : label;
    return form({
      label: "Answer",
      fields: [element("label", {}, bounds ? `${title} (${bounds})` : title, field)],
      act: () => {
        if (!field.checkValidity()) return this.deeds.complain(field.validationMessage);
        // Whoever asks may have another clock.
        const text = isMoment && field.value ? new Date(field.value).toISOString() : field.value;
        const size = [...text].length;
        if (size === 0 && !(least === 0)) return this.deeds.complain("there is no answer yet", "type one");
        if (!isBetween(size, least, most)) {
          return this.deeds.complain(`an answer has ${bounds}; this one has ${size}`);
        }
        return this.answer(text);
      },
    });
  }

  number({ whole, least, most }) {
    const field = element("input", {
      type: "number",
      step: whole ? 1 : "any",
      min: least,
      max: most,
      inputmode: whole ? "numeric" : "decimal",
      autocomplete: "off",
    });
    const bounds = between(least, most, "");
    const kind = whole ? "A whole number" : "A number";
    return form({
      label: "Answer",
      fields: [element("label", {}, bounds ? `${kind}, ${bounds}` : kind, field)],
      act: () => {
        if (field.value === "" || !field.checkValidity()) {
          return this.deeds.complain(field.validationMessage || "there is no number yet");
        }
        return this.answer(field.value);
      },
    });
  }

  several(options, { least, most }) {
    const boxes = options.map((option) => element("input", { type: "checkbox", value: option }));
    const bounds = between(least, most, "");
    const rows = boxes.map((box, at) =>
      element("label", { class: "choice" }, box, element("span", {}, shown(options[at]))),
    );
    return form({
      label: "Answer",
      fields: [
        element(
          "fieldset",
          {},
          element(
            "legend",
            {},
            bounds ? `Several may be chosen: ${bounds} of them` : "Several may be chosen",
          ),
          ...rows,
        ),
      ],
      act: () => {
        const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
        if (!isBetween(chosen.length, least, most)) {
          return this.deeds.complain(`${chosen.length} are chosen; it has to be ${bounds} of them`);
        }
        return this.answer(chosen.join(", "));
      },
    });
  }

  // Approvals

  approval() {
    const { entry } = this;
    const [title, ...parts] = this.wish();
    const exact = [entry.command, entry.cwd, entry.what, entry.url, entry.host, ...(entry.paths ?? [])];
    const isOdd = exact.some((text) => typeof text === "string" && hasBeyondAscii(text));
    return [
      element("p", { class: "wish" }, ...title),
      ...parts,
      typeof entry.reason === "string" &&
        entry.reason !== "" &&
        this.part("Why, in its words", this.toRead(entry.reason, "prose")),
      isOdd && this.oddNote(),
      this.reach(),
      this.verdict(),
    ].filter(Boolean);
  }

  /** What it wants: a sentence, and all of what that is about. */
  wish() {
    const { entry } = this;
    const name = (text) => element("strong", {}, shown(text, true));
    switch (entry.wants) {
      case "command":
        return [
          ["May it run this command outside of Codex’s sandbox?"],
          this.toRead(entry.command),
          typeof entry.cwd === "string" && this.part("In the folder", this.toRead(entry.cwd)),
        ].filter(Boolean);
      case "patch":
        return [
          [`May it change ${entry.paths.length === 1 ? "this file" : `these ${entry.paths.length} files`}?`],
          this.toRead(entry.paths.join("\n")),
        ];
      case "permissions":
        return [["May it have these rights in Codex’s sandbox?"], this.toRead(entry.what)];
      case "tool":
        return [
          ["May it call ", name(entry.tool), " of the MCP server ", name(entry.server), "?"],
          this.part("With", this.toRead(pretty(entry.arguments))),
        ];
      case "elicitation":
        return entry.url
          ? [
              [
                "The MCP server ",
                name(entry.server),
                " wants you to go to this address. Approving tells it that you do; nothing is opened for you.",
              ],
              this.toRead(entry.url),
              this.part("It says", this.toRead(entry.message, "prose")),
            ]
          : [
              ["The MCP server ", name(entry.server), " asks, and takes yes or no:"],
              this.toRead(entry.message, "prose"),
            ];
      case "network":
        return [
          ["May it reach this host, which its caps do not list? Whatever it can read, it could send there."],
          this.toRead(entry.host),
        ];
      case "grant":
        return [
          [
            "May it have ",
            name(entry.tool),
            " of the MCP server ",
            name(entry.server),
            ", which its caps do not name? It may call that then with whatever it likes.",
          ],
        ];
      default:
        return [[shown(entry.prompt, true)]];
    }
  }

  oddNote() {
    return element(
      "p",
      { class: "note" },
      "Underlined characters are beyond ASCII, and may look like others.",
    );
  }

  /** How far what it does then may go, which the prompt says at its end. */
  reach() {
    const { prompt, wants } = this.entry;
    if (!["command", "patch", "permissions"].includes(wants)) return null;
    if (prompt.endsWith("It stays within its caps"))
      return element("p", { class: "note" }, "It stays within its caps.");
    if (prompt.endsWith("It may do then whatever you may")) {
      return element(
        "p",
        { class: "note warning" },
        element("span", { "aria-hidden": "true" }, "! "),
        "It may do then whatever you may.",
      );
    }
    return this.part("As it is asked", this.toRead(prompt, "prose"));
  }

  verdict() {
    const { entry } = this;
    const labels = {
      once: "Once",
      stage: "For this stage",
      run: "For this run",
      repo: `For this repository: ${subjectWord(entry.standing)}…`,
    };
    const row = element("div", { class: "verdict" });
    const scopes = entry.scopes.map((scope, at) => {
      const approve = () => this.resolve("approve", { scope }, "approved");
      const act = scope === "repo" ? () => this.confirmForAll(row, approve) : approve;
      return this.assent(decision(labels[scope] ?? plain(scope), act, { kind: at === 0 ? "first" : "" }));
    });
    row.append(this.mustRead(), this.group("Allow it", ...scopes), this.refusal());
    return row;
  }

  group(label, ...buttons) {
    const group = decisions(...buttons);
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", label);
    group.prepend(element("span", { class: "label" }, label));
    return group;
  }

  assent(button) {
    this.assents.push(button);
    return button;
  }

  mustRead() {
    this.unreadNote = element(
      "p",
      { class: "note warning", hidden: true },
      "It can be allowed when all of it was shown.",
    );
    return this.unreadNote;
  }

  /** What stands until it is taken back is said in full, and confirmed. */
  confirmForAll(row, approve) {
    const { unread, assents } = this;
    const close = () => {
      panel.remove();
      Object.assign(this, { unread, assents });
      this.checkRead();
      row.hidden = false;
      row.querySelector("button")?.focus({ preventScroll: true });
      unsettle();
    };
    const panel = element("div", { class: "panel" });
    // Words of ours, and what they are about, in turns.
    const parts = subjectParts(this.entry.standing).map((text, at) =>
      at % 2 === 0 ? element("p", {}, text) : this.toRead(text),
    );
    const yes = decision("Allow that for every run of this repository", approve, { kind: "first" });
    this.assents = [...assents, yes];
    panel.append(
      element(
        "p",
        { class: "wish" },
        "Every run of ",
        element("strong", {}, lastPart(this.entry.repo_root)),
        " may then, without asking, until you take it back:",
      ),
      ...parts,
      decisions(yes, decision("Back", close)),
    );
    this.checkRead();
    row.hidden = true;
    row.after(panel);
    escapes(panel, close);
    panel.querySelector("button:last-of-type")?.focus({ preventScroll: true });
    unsettle();
  }

  refusal() {
    return this.reveal({
      open: "Deny…",
      kind: "",
      label: "Deny",
      says: "It is told that it may not.",
      act: (reason) => this.resolve("deny", { reason }, "denied"),
    });
  }

  // Confirmations

  confirmation() {
    const { entry } = this;
    const [question, diff] = questionAndDiff(entry.prompt);
    return [
      this.toRead(question, "prose"),
      diff && this.toRead(diff, "patch", (part) => painted(part.split("\n"), true)),
      hasBeyondAscii(entry.prompt) && this.oddNote(),
      this.exactly(),
      element(
        "div",
        { class: "verdict" },
        this.mustRead(),
        decisions(
          this.assent(
            decision("Approve", () => this.resolve("approve", { scope: "once" }, "approved"), {
              kind: "first",
            }),
          ),
        ),
        this.refusal(),
      ),
    ].filter(Boolean);
  }

  /** All that is done then, which the question says in short: for whoever would like to see it. */
  exactly() {
    const { action, digest } = this.entry;
    const text = pretty(action);
    const summary = `Exactly what is done (${counted(text.split("\n").length, "line")})`;
    const details = element("details", {}, element("summary", {}, summary));
    details.addEventListener("toggle", () => {
      if (details.childElementCount > 1) return;
      details.append(
        element("pre", { class: "text exact long", tabindex: "0" }, shown(text, true)),
        element("p", { class: "note" }, "SHA-256 ", element("code", {}, shown(digest, true))),
      );
    });
    return details;
  }

  // Everything

  /** A deed with a reason that may be left out, behind a button. */
  reveal({ open, kind = "quiet", label, says, act }) {
    const field = element("input", { type: "text", autocomplete: "off", maxlength: 4000 });
    const close = () => {
      panel.hidden = true;
      opener.hidden = false;
      opener.querySelector("button").focus({ preventScroll: true });
    };
    const panel = form({
      label,
      kind: "no",
      fields: [element("p", { class: "note" }, says), element("label", {}, "Reason, if you like", field)],
      act: () => act(field.value.trim() === "" ? undefined : field.value),
      beside: [decision("Back", () => close())],
    });
    panel.classList.add("panel");
    panel.hidden = true;
    const opener = decisions(
      decision(
        open,
        () => {
          panel.hidden = false;
          opener.hidden = true;
          field.focus();
          unsettle();
        },
        { kind },
      ),
    );
    escapes(panel, close);
    return element("div", { class: "reveal" }, opener, panel);
  }

  foot() {
    const { entry } = this;
    const parts = [];
    if (entry.expires_at) {
      const after = {
        pause: "the run is paused",
        resume: "the run goes on without an answer",
        fail: "the run fails",
      };
      const then = entry.kind === "question" ? after[entry.fallback] : "it is denied";
      parts.push(
        element(
          "p",
          { class: "note" },
          "Until ",
          element("span", {}, new Date(entry.expires_at).toLocaleString()),
          ", ",
          time(entry.expires_at, "until"),
          then ? `; then ${then}` : "",
          ".",
        ),
      );
    }
    // What is decided can be typed in several ways, which are no one command to copy.
    if (entry.next && entry.kind === "question") parts.push(copyable(entry.next, "Or type"));
    else if (entry.next) {
      parts.push(element("p", { class: "note" }, "Or type ", element("code", {}, shown(entry.next, true))));
    }
    return parts;
  }

  async resolve(name, body, word) {
    const { entry } = this;
    const isDone = await this.deeds.perform(
      name,
      { repo: entry.repo_root, id: entry.question_id, ...body },
      (answer) => {
        const now =
          { in_progress: "is running", queued: "is queued", paused: "is paused" }[answer.run_status] ??
          answer.run_status;
        const also = answer.done_run_id ? `; run ${tail(answer.done_run_id)} is what came of it` : "";
        return `${plain(entry.question_id)} ${word}; run ${tail(answer.run_id)} ${answer.resumed ? "goes on" : plain(now)}${also}`;
      },
    );
    // It is on its way out of the inbox.
    if (isDone)
      for (const button of this.node.querySelectorAll("button[data-decides]")) off(button, "done", true);
  }
}

/** What is asked, and what is different then, which begins at the first empty line or name of a file. */
function questionAndDiff(prompt) {
  const lines = prompt.replace(/\n+$/, "").split("\n");
  const at = lines.findIndex((line) => line === "" || line.startsWith("--- "));
  if (at === -1) return [prompt, ""];
  const text = (part) => part.join("\n").replace(/^\n+/, "");
  return [text(lines.slice(0, at)), text(lines.slice(at))];
}

/** Escape closes what was opened last, before anything else. */
function escapes(node, close) {
  node.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    close();
  });
}

/** Something to type or to paste elsewhere, with a button that copies it. */
export function copyable(text, label) {
  const code = element("code", { tabindex: "-1" }, shown(text, true));
  const button = element(
    "button",
    { type: "button", class: "quiet", "aria-label": `Copy ${plain(text)}` },
    "Copy",
  );
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  return element(
    "div",
    { class: "copyable" },
    label && element("span", { class: "label" }, label),
    code,
    button,
  );
}

function isBetween(number, least, most) {
  return number >= (least ?? -Infinity) && number <= (most ?? Infinity);
}

function between(least, most, one) {
  const what = (number) => (one === "" ? String(number) : counted(number, one));
  const [isLeast, isMost] = [least, most].map((bound) => bound !== null && bound !== undefined);
  if (isLeast && isMost) return least === most ? `exactly ${what(least)}` : `${least} to ${what(most)}`;
  if (isLeast) return `at least ${what(least)}`;
  return isMost ? `at most ${what(most)}` : "";
}

function subjectWord(subject) {
  return (
    {
      command: "this command",
      patch: "these files",
      permissions: "these rights",
      tool: "this tool",
      network: "this host",
    }[subject?.kind] ?? "this"
  );
}

/**
 * What an approval for the repository is for, in the words of `inbox --standing`: what may be done, to
 * what exactly, and how far.
 */
function subjectParts(subject) {
  const held = subject.held ? "of a thread that its caps hold" : "also of a thread that nothing else holds";
  switch (subject.kind) {
    case "command": {
      if (subject.folder === ".")
        return ["run exactly this command:", subject.command, `at the top of a run’s work tree, ${held}`];
      const where = subject.folder.startsWith("/")
        ? "in this folder:"
        : "in this folder of a run’s work tree:";
      return ["run exactly this command:", subject.command, where, subject.folder, held];
    }
    case "patch":
      return ["change exactly these files:", subject.paths.join("\n"), held];
    case "permissions":
      return ["have exactly these rights:", subject.what, held];
    case "tool":
      return [
        "call this tool:",
        subject.tool,
        "of this MCP server, whatever it is called with:",
        subject.server,
      ];
    case "network":
      return ["reach this host:", subject.host];
    default:
      return ["do what this says:", pretty(subject)];
  }
}
