// Which run is open, as the address of the page has it, so that reloading and going back work.

/** The address of a run. */
export function addressOf(run, repo) {
  return `#${new URLSearchParams({ run, repo })}`;
}

/** What the address says: a `key` to come in with, or an open `run` of a `repo`. */
export function read() {
  const said = new URLSearchParams(location.hash.slice(1));
  return { key: said.get("k"), run: said.get("run"), repo: said.get("repo") };
}

/** Forgets a key, which is used up, before anything else can read it from the address. */
export function forgetKey() {
  history.replaceState(null, "", location.pathname);
}
