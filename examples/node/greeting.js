/** A greeting for `name`, or for everybody when it is blank. */
export function greeting(name) {
  return `Hello, ${name.trim() || "everybody"}!`;
}
