// The views of the page, and the dialog for the token.

import { $, say } from "./dom.js";
import { Jobs } from "./jobs.js";
import { Look } from "./look.js";

const look = new Look();
const jobs = new Jobs((job) => {
  location.hash = "look";
  look.openJob(job);
});

/** Show the view that the address names. */
function turn() {
  const view = location.hash === "#jobs" ? "jobs" : "look";
  for (const link of document.querySelectorAll("[data-view]")) {
    const here = link.dataset.view === view;
    $(link.dataset.view).hidden = !here;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  say("");
  jobs.watch(view === "jobs");
}

$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  $("token").close("ok");
});
$("token-cancel").addEventListener("click", () => $("token").close(""));
window.addEventListener("hashchange", turn);
turn();
