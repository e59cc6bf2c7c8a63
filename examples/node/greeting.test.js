import assert from "node:assert/strict";
import { test } from "node:test";

import { greeting } from "./greeting.js";

test("a blank name is everybody", () => {
  assert.equal(greeting("Ada"), "Hello, Ada!");
  assert.equal(greeting(" "), "Hello, everybody!");
});
