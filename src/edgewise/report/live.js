"use strict";
// Asks whether the store has changed, and shows the page anew where it was scrolled to.
const state = document.getElementById("state");
const frame = document.getElementById("page");
let shown = document.body.dataset.revision;

frame.addEventListener("load", () => {
  const name = frame.contentDocument?.title;
  if (name) document.title = name;
  state.textContent = `As of ${new Date().toLocaleTimeString()}; follows the store.`;
});

async function look() {
  try {
    const answer = await fetch("revision", { cache: "no-store" });
    if (!answer.ok) throw new Error(await answer.text());
    const revision = await answer.text();
    if (revision !== shown) {
      state.textContent = "The store has changed: making the page…";
      frame.contentWindow.location.reload();
    }
    shown = revision;
  } catch (error) {
    state.textContent = `Not following the store: ${error.message}`;
  }
  setTimeout(look, 2000);
}
look();
