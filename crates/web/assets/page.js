// The key is in the part of the address that browsers keep to themselves, and it is good once.
const key = new URLSearchParams(location.hash.slice(1)).get("k");
history.replaceState(null, "", "/");

const answer = await fetch("/api/enter", {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ key: key ?? "" }),
});
const { error } = await answer.json();
document.querySelector("main").textContent = error ? error.message : "You are in.";
