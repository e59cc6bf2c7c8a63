// What is asked of the server. The token is kept where only this origin reads it, port included;
// a cookie would go to whatever listens on another port of this machine.

const KEPT_AS = "codex-orch token";

/** The server refused, and says what to do. */
export class Refused extends Error {
  constructor({ code, message, next_step: nextStep }) {
    super(message);
    this.code = code;
    this.nextStep = nextStep ?? null;
  }
}

/** Nobody answers at this address. */
export class Gone extends Error {}

let held = null;

export function token() {
  try {
    return localStorage.getItem(KEPT_AS) ?? held;
  } catch {
    return held;
  }
}

function keep(value) {
  held = value;
  try {
    if (value === null) localStorage.removeItem(KEPT_AS);
    else localStorage.setItem(KEPT_AS, value);
  } catch {
    // Where nothing may be stored, the page is let in until it is reloaded.
  }
}

async function post(name, body, { signal, bearer } = {}) {
  const headers = { "Content-Type": "application/json" };
  if (bearer) headers.Authorization = `Bearer ${bearer}`;
  let response;
  let answer;
  try {
    response = await fetch(`/api/${name}`, {
      method: "POST",
      headers,
      body: JSON.stringify(body),
      signal,
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
    answer = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Gone("nobody answers");
  }
  if (response.ok) return answer;
  throw new Refused(answer.error ?? { code: "internal", message: `the server answers ${response.status}` });
}

/** Exchanges the key of a link for a token. */
export async function enter(key) {
  keep((await post("enter", { key })).token);
}

/** Calls `name`. Who is not let in any more loses the token. */
export async function call(name, body, signal) {
  const bearer = token();
  try {
    return await post(name, body, { signal, bearer });
  } catch (error) {
    // Another tab may have entered meanwhile: its token is not the one that was refused.
    if (error instanceof Refused && error.code === "unauthorized" && token() === bearer) keep(null);
    throw error;
  }
}

/** Calls `heard` when another tab of this browser has entered. */
export function onEntered(heard) {
  addEventListener("storage", (event) => {
    if (event.key === KEPT_AS && event.newValue) heard();
  });
}
