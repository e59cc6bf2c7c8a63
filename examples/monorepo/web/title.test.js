import assert from "node:assert/strict";
import { test } from "node:test";

import { title } from "./title.js";

test("a title begins with a capital", () => {
  assert.equal(title("home"), "Home");
});
