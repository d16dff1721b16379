// Brings the front page up to date without closing what the reader has opened, or losing what is selected. Without it,
// the page stays as it is until it is loaded anew.
"use strict";

const EVERY = 15000; // milliseconds
let last = "";

async function renew() {
  if (document.hidden || !getSelection().isCollapsed) return;
  let text;
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.statusText);
    text = await answer.text();
  } catch {
    document.body.classList.add("lost");
    return;
  }
  document.body.classList.remove("lost");
  if (text === last) return;
  last = text;
  const before = document.querySelector("main");
  const now = new DOMParser().parseFromString(text, "text/html").querySelector("main");
  for (const details of before.querySelectorAll("details[id]")) {
    const same = now.querySelector("#" + CSS.escape(details.id));
    if (same) same.open = details.open;
  }
  const focused = document.activeElement.closest("details[id]");
  before.replaceWith(document.adoptNode(now));
  if (focused) document.getElementById(focused.id)?.querySelector("summary").focus({ preventScroll: true });
}

setInterval(renew, EVERY);
document.addEventListener("visibilitychange", renew);
