"use strict";
// Follows the store: shows who writes to it and how far they are, and the page anew where it was
// scrolled to. What a reader has sorted or filtered is not taken from them: they are asked.
const [state, show, running, frame] = ["state", "show", "running", "page"].map((id) => document.getElementById(id));
let shown = document.body.dataset.revision;
let making = true;

frame.addEventListener("load", () => {
  const name = frame.contentDocument?.title;
  if (name) document.title = name;
  making = false;
  say(`As of ${new Date().toLocaleTimeString()}; follows the store.`);
});

function say(text) {
  if (state.textContent !== text) state.textContent = text; // what is read out, once
}

function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

// A verb at work: what is done of how much, what it is at, for how long, and for how long still.
function line({ verb, done, total, at, seconds, ago }) {
  const bar = document.createElement("progress");
  bar.setAttribute("aria-label", verb);
  if (total) [bar.max, bar.value] = [total, Math.min(done, total)];
  const count = done.toLocaleString() + (total ? ` of ${total.toLocaleString()}` : "");
  const left = total && done > 2 && done < total ? ((seconds - ago) / done) * (total - done) - ago : 0;
  const words = [`${verb}: ${count}`, at, `for ${duration(seconds)}`, left > 5 ? `about ${duration(left)} left` : ""];
  const said = document.createElement("span");
  said.textContent = words.filter(Boolean).join(" · ");
  const item = document.createElement("li");
  item.append(bar, said);
  return item;
}

function renew(revision) {
  shown = revision;
  making = true;
  show.hidden = true;
  say("The store has changed: making the page…");
  frame.contentWindow.location.reload();
}

let newest = shown;
show.addEventListener("click", () => renew(newest));

async function look() {
  try {
    const answer = await fetch("state", { cache: "no-store" });
    if (!answer.ok) throw new Error(await answer.text());
    const { revision, due, running: verbs } = await answer.json();
    newest = revision;
    running.replaceChildren(...verbs.map(line));
    if (revision !== shown && !making) {
      if (frame.contentDocument?.body.dataset.touched) {
        show.hidden = false;
        say("The store has changed.");
      } else if (due) {
        renew(revision);
      } else {
        say("The store is changing; the page follows.");
      }
    }
  } catch (error) {
    say(`Not following the store: ${error.message}`);
  }
  setTimeout(look, 2000);
}
look();
