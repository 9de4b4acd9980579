// The list of people, and what is shown of them.

import { $, el } from "./dom.js";
import { colour } from "./poses.js";

export class People {
  constructor(stage, changed) {
    [this.stage, this.changed, this.rows] = [stage, changed, new Map()];
    for (const id of ["skeletons", "boxes", "ids", "least"]) $(id).oninput = () => this.looked();
    $("everybody").onclick = () => {
      this.stage.look.hidden.clear();
      for (const { box } of this.rows.values()) box.checked = true;
      this.changed();
    };
  }

  reset() {
    this.stage.look.hidden.clear();
    this.stage.look.chosen = null;
    [this.poses, this.rows] = [null, new Map()];
    $("people").replaceChildren();
    $("how-many").textContent = "";
  }

  looked() {
    const { look } = this.stage;
    for (const id of ["skeletons", "boxes", "ids"]) look[id] = $(id).checked;
    look.least = Number($("least").value);
    $("least-told").textContent = look.least.toFixed(2);
    this.changed();
  }

  /** List everybody of these poses, with the scores of one row. */
  list(poses, row) {
    if (poses !== this.poses) {
      this.reset();
      this.poses = poses;
      const ids = poses ? [...poses.tracks().keys()].sort((a, b) => a - b) : [];
      $("people").replaceChildren(...ids.map((id) => this.person(id)));
      $("how-many").textContent = poses ? ids.length : "";
    }
    const here = new Map((poses?.people(row) ?? []).map((person) => [poses.id(person), person]));
    for (const [id, { item, score }] of this.rows) {
      const person = here.get(id);
      item.classList.toggle("absent", person === undefined);
      score.textContent = person === undefined ? "" : poses.box(person)[4].toFixed(2);
    }
  }

  person(id) {
    const box = el("input", { type: "checkbox", checked: true, onchange: () => this.hide(id, !box.checked) });
    const swatch = el("span", { className: "swatch" });
    swatch.style.background = colour(id);
    const score = el("span", { className: "quiet" });
    const name = `Person ${id}`;
    const mark = el("button", { className: "quiet", "aria-pressed": "false", title: `Emphasise person ${id}`, onclick: () => this.choose(id) }, name);
    box.setAttribute("aria-label", `Show person ${id}`);
    const item = el("li", {}, box, swatch, mark, score);
    this.rows.set(id, { item, box, score, mark });
    return item;
  }

  hide(id, hidden) {
    if (hidden) this.stage.look.hidden.add(id);
    else this.stage.look.hidden.delete(id);
    this.changed();
  }

  /** Emphasise a person; again, or nobody, ends it. */
  choose(id) {
    const { look } = this.stage;
    look.chosen = look.chosen === id ? null : id;
    for (const [each, { item, mark }] of this.rows) {
      item.classList.toggle("chosen", each === look.chosen);
      mark.setAttribute("aria-pressed", String(each === look.chosen));
    }
    this.changed();
  }
}
