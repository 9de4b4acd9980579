// The view "Jobs": every job of this visitor, as it happens.

import { events, json, post, request } from "./api.js";
import { $, bytes, el, say } from "./dom.js";

const EVERY = 3000; // ms between two looks at the list
const LIMIT = "max-pixels"; // the server's own, the same for each job
const LIVE = ["queued", "running"];

export class Jobs {
  constructor(open) {
    [this.open, this.cards, this.watching] = [open, new Map(), false];
    document.addEventListener("visibilitychange", () => this.round());
  }

  /** Look at the list while it is on the screen. */
  watch(watching) {
    this.watching = watching;
    if (!watching) for (const card of this.cards.values()) card.rest();
    this.round();
  }

  async round() {
    clearTimeout(this.timer);
    if (!this.watching || document.hidden) return;
    try {
      this.show((await json("v1/jobs")).jobs);
    } catch (error) {
      say(error.message, true);
      if (this.watching) return; // without a token there is nothing to ask for again
    }
    this.timer = setTimeout(() => this.round(), EVERY);
  }

  show(jobs) {
    const known = new Set(jobs.map((job) => job.id));
    for (const [id, card] of this.cards) {
      if (known.has(id)) continue;
      card.remove();
      this.cards.delete(id);
    }
    for (const job of [...jobs].reverse()) {
      if (!this.cards.has(job.id)) {
        this.cards.set(job.id, new Card(job.id, this.open, () => this.round()));
        $("job-list").prepend(this.cards.get(job.id).item);
      }
      this.cards.get(job.id).show(job);
    }
    const running = jobs.filter((job) => LIVE.includes(job.status)).length;
    $("running").hidden = !running;
    $("running").textContent = running;
    $("no-jobs").hidden = jobs.length > 0;
  }
}

/** One job: its state, its progress, and on demand its log and files. */
class Card {
  constructor(id, open, changed) {
    [this.id, this.changed, this.following] = [id, changed, null];
    this.status = el("span", { className: "pill" });
    this.title = el("h2");
    this.about = el("p", { className: "quiet" });
    this.bar = el("progress", { max: 1, "aria-label": "Progress" });
    this.told = el("span", { className: "quiet" });
    this.error = el("p", { className: "bad", hidden: true });
    this.log = el("pre", { tabIndex: 0, "aria-label": "Log" });
    this.files = el("ul", { className: "written" });
    this.more = el("details", { ontoggle: () => this.more.open && this.load() },
      el("summary", {}, "Log and files"), this.files, this.log);
    this.look = el("button", { onclick: () => open(id) }, "Open");
    this.cancel = el("button", { onclick: () => this.act(() => post(`v1/jobs/${id}/cancel`)) }, "Cancel");
    this.retry = el("button", { onclick: () => this.act(() => post(`v1/jobs/${id}/retry`)) }, "Retry");
    this.delete = el("button", { className: "danger", onclick: () => this.sure(), onblur: () => this.unsure() }, "Delete");
    this.progress = el("div", { className: "work" }, this.bar, this.told);
    this.item = el("li", { className: "card" },
      el("div", { className: "title" }, el("div", { className: "row" }, this.status, this.title),
        el("div", { className: "row" }, this.look, this.cancel, this.retry, this.delete)),
      this.about, this.progress, this.error, this.more);
  }

  show(job) {
    const changed = this.job && this.job.status !== job.status;
    this.job = job;
    const live = LIVE.includes(job.status);
    this.status.textContent = job.status;
    this.status.dataset.status = job.status;
    const names = job.inputs.join(", ");
    this.title.textContent = names ? `${job.kind}: ${names}` : job.kind;
    this.about.textContent = [when(job), ...Object.entries(job.options).filter(([name]) => name !== LIMIT).map(([name, value]) => `${name} ${value}`)].join(" · ");
    this.error.textContent = job.error;
    this.error.hidden = !job.error;
    const shown = ["predict", "track"].includes(job.kind) && (job.options.save ?? "jsonl").split(",").includes("jsonl");
    this.look.hidden = !(shown && job.status === "done");
    this.cancel.hidden = this.progress.hidden = !live;
    this.retry.hidden = !["failed", "cancelled"].includes(job.status);
    this.heard(job.progress);
    if (live) this.follow();
    if (changed && this.more.open) this.load();
  }

  /** Hear the job's events until it ends or the view is left. */
  async follow() {
    if (this.following) return;
    this.following = new AbortController();
    const { signal } = this.following;
    try {
      await events(this.id, (name, data) => {
        if (name === "progress") this.heard(data);
        if (name === "line" && this.more.open) this.line(data.line);
      }, signal);
      this.changed();
    } catch { /* the next round of the list tells what is wrong */ }
    if (this.following?.signal === signal) this.following = null;
  }

  rest() {
    this.following?.abort();
    this.following = null;
  }

  heard({ done, total, people, seconds }) {
    if (total) this.bar.value = done / total;
    else this.bar.removeAttribute("value");
    const rate = seconds ? `${(done / seconds).toFixed(1)} a second` : null;
    const parts = [total ? `${done} of ${total}` : done ?? "waiting", people ? `${people} poses` : null, rate];
    this.told.textContent = parts.filter((part) => part !== null).join(" · ");
  }

  line(text) {
    this.log.append(`${text}\n`);
    this.log.scrollTop = this.log.scrollHeight;
  }

  async load() {
    try {
      const [log, job] = await Promise.all([request(`v1/jobs/${this.id}/log`), json(`v1/jobs/${this.id}`)]);
      this.log.textContent = readable(await log.text()) || "It has said nothing.";
      this.files.replaceChildren(...job.files.map(({ name, bytes: size, href }) =>
        el("li", {}, el("a", { href, download: name.split("/").pop() }, name), el("span", { className: "quiet" }, bytes(size)))));
    } catch (error) {
      say(error.message, true);
    }
  }

  /** The first press asks, the second deletes. */
  sure() {
    if (this.delete.textContent === "Delete") this.delete.textContent = "Delete everything?";
    else this.act(() => request(`v1/jobs/${this.id}`, { method: "DELETE" }));
  }

  unsure() {
    this.delete.textContent = "Delete";
  }

  async act(step) {
    try {
      await step();
    } catch (error) {
      say(error.message, true);
    }
    this.changed();
  }

  remove() {
    this.rest();
    this.item.remove();
  }
}

/** Return a log without the lines that are progress for programs, which the bar shows. */
function readable(text) {
  const progress = /^\{.*"done": /;
  return text.split("\n").filter((line) => !progress.test(line)).join("\n").trim();
}

function when(job) {
  const time = new Date(1000 * job.created).toLocaleString();
  const spent = job.ended && job.started ? ` · ${(job.ended - job.started).toFixed(1)} s` : "";
  return `${time}${spent}${job.tries > 1 ? ` · ${job.tries} tries` : ""}`;
}
