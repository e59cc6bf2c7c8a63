// What a run has changed in a work tree of its own.

import { element } from "./dom.js";
import { Refused, call } from "./api.js";
import { counted, plain, shown } from "./text.js";

const FIRST_LINES = 600;
const SIGNS = { added: "+", deleted: "−", modified: "~", renamed: "→", retyped: "~" };

export class Changes {
  constructor(repo, run) {
    Object.assign(this, { repo, run });
    this.button = element("button", { type: "button", click: () => this.look() }, "Show the changes");
    this.state = element("p", { class: "note", role: "status" });
    this.content = element("div", {});
    this.node = element(
      "section",
      { hidden: true },
      element("h3", {}, "Changes"),
      element("div", { class: "between" }, this.state, this.button),
      this.content,
    );
  }

  show(run) {
    this.node.hidden = run.worktree === null;
    if (run.worktree !== null && this.state.textContent === "") {
      this.state.replaceChildren(
        "In a work tree of its own, on ",
        element("code", {}, shown(run.worktree.branch)),
      );
    }
  }

  async look() {
    this.button.disabled = true;
    try {
      const { repo, run } = this;
      this.fill(await call("diff", { repo, run }));
      this.button.textContent = "Look again";
    } catch (error) {
      const next = error instanceof Refused && error.nextStep ? `; ${error.nextStep}` : "";
      this.content.replaceChildren(element("p", { class: "complaint" }, shown(`${error.message}${next}`)));
    } finally {
      this.button.disabled = false;
    }
  }

  fill({ files, left_out: leftOut = [], patch, patch_cut: isCut }) {
    if (files.length === 0) {
      this.content.replaceChildren(element("p", { class: "faint" }, "Nothing is changed."));
      return;
    }
    const sum = (key) => files.reduce((total, file) => total + (file[key] ?? 0), 0);
    const rows = files.map((file) =>
      element(
        "tr",
        {},
        element("td", { class: "mono", title: plain(file.change) }, SIGNS[file.change] ?? "?"),
        element(
          "td",
          { class: "path" },
          file.from ? [shown(file.from, true), " → "] : "",
          shown(file.path, true),
        ),
        element("td", { class: "number plus" }, typeof file.added === "number" ? `+${file.added}` : "binary"),
        element("td", { class: "number minus" }, typeof file.deleted === "number" ? `−${file.deleted}` : ""),
      ),
    );
    this.content.replaceChildren(
      element(
        "p",
        { class: "note" },
        `${counted(files.length, "file")}, +${sum("added")} −${sum("deleted")}`,
      ),
      element("table", { class: "files" }, element("tbody", {}, rows)),
      leftOut.length > 0
        ? element(
            "ul",
            { class: "notes" },
            leftOut.map((left) =>
              element("li", {}, "left out: ", shown(left.what), " (", shown(left.why), ")"),
            ),
          )
        : "",
      patch ? this.patch(patch, isCut) : "",
    );
  }

  patch(patch, isCut) {
    const details = element("details", {}, element("summary", {}, "As a patch"));
    const fill = () => {
      if (details.childElementCount > 1) return;
      const lines = patch.replace(/\n$/, "").split("\n");
      const body = element("pre", { class: "patch", tabindex: "0" }, painted(lines.slice(0, FIRST_LINES)));
      details.append(body);
      if (lines.length > FIRST_LINES) {
        const more = element(
          "button",
          { type: "button", class: "quiet more" },
          `show all (${counted(lines.length, "line")})`,
        );
        more.addEventListener("click", () => {
          body.replaceChildren(...painted(lines));
          more.remove();
        });
        details.append(more);
      }
      if (isCut)
        details.append(
          element(
            "p",
            { class: "note warning" },
            "The rest is too long for this page: ",
            element("code", {}, `codex-orch diff ${plain(this.run.split("-").at(-1))}`),
            " prints it.",
          ),
        );
    };
    details.addEventListener("toggle", fill);
    return details;
  }
}

/**
 * The lines of a patch. Within a hunk the first character says what a line is, whatever follows it,
 * which `exact` is told as in what is to be approved.
 */
export function painted(lines, exact = false) {
  let left = { old: 0, new: 0 };
  return lines.map((line) => {
    let kind = "meta";
    const hunk = /^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@/.exec(line);
    if (left.old <= 0 && left.new <= 0) {
      if (hunk) {
        kind = "hunk";
        left = { old: Number(hunk[1] ?? 1), new: Number(hunk[2] ?? 1) };
      } else if (line.startsWith("diff ")) kind = "head";
    } else if (line.startsWith("+")) {
      kind = "plus";
      left.new -= 1;
    } else if (line.startsWith("-")) {
      kind = "minus";
      left.old -= 1;
    } else if (!line.startsWith("\\")) {
      kind = "same";
      left.old -= 1;
      left.new -= 1;
    }
    // A sign is no space at the end of a line.
    const sign = /^[-+ ]/.exec(line)?.[0] ?? "";
    return element("span", { class: kind }, sign, shown(line.slice(sign.length), exact), "\n");
  });
}
