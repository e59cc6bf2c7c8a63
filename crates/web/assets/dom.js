// Elements without markup: what others wrote can become text on the page, and nothing else.

/** An element. `null`, `undefined` and `false` leave an attribute or a child out. */
export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(key, value);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Sets the text of an element, and leaves it alone where it says that already. */
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Fills an element anew when `value` is another than last time; what is selected in it stays else. */
export function refill(node, value, children) {
  const key = JSON.stringify(value);
  if (node.filledWith === key) return;
  node.filledWith = key;
  node.replaceChildren(
    ...[children()].flat(2).filter((child) => child !== null && child !== undefined && child !== false),
  );
}

/**
 * The children of an element, each for one entry. An entry that is still there keeps its element,
 * with focus, selection and whatever was typed.
 */
export class Entries {
  /** `make(entry)` gives `{ node, update(entry) }`. */
  constructor(parent, key, make) {
    Object.assign(this, { parent, key, make, shown: new Map() });
  }

  /** Shows these, and says whether any came, went or moved. */
  show(entries) {
    const active = document.activeElement;
    const next = new Map();
    for (const entry of entries) {
      const key = this.key(entry);
      const there = this.shown.get(key) ?? this.make(entry);
      next.set(key, there);
      there.update?.(entry);
    }
    let moved = false;
    for (const [key, { node }] of this.shown) {
      if (next.has(key)) continue;
      node.remove();
      moved = true;
    }
    let place = this.parent.firstElementChild;
    for (const { node } of next.values()) {
      if (node === place) {
        place = place.nextElementSibling;
      } else {
        this.parent.insertBefore(node, place);
        moved = true;
      }
    }
    this.shown = next;
    // Who is moved loses the focus.
    if (active !== document.activeElement && this.parent.contains(active)) {
      active.focus({ preventScroll: true });
    }
    return moved;
  }
}
