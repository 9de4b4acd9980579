// Who is visible when: a bar for each person, with holes where nobody saw them.

import { Chart } from "./chart.js";
import { colour } from "./poses.js";

const ROW = 18;
const MOST = 400; // bars; a canvas has an end

export class TimeLine extends Chart {
  constructor(canvas, head, seek, choose) {
    super(canvas, head, seek);
    canvas.addEventListener("dblclick", (event) => choose(this.ids[Math.floor(event.offsetY / ROW)] ?? null));
  }

  show(poses, span, look) {
    this.span = span;
    const tracks = poses.tracks();
    this.ids = [...tracks.keys()].sort((a, b) => a - b).slice(0, MOST);
    const pen = this.begin(this.ids.length * ROW + 22);
    this.axis(pen);
    this.ids.forEach((id, number) => this.bar_of(pen, poses, id, tracks.get(id).rows, number * ROW, look));
    const many = this.ids.length;
    this.canvas.setAttribute("aria-label", `Time line of ${many} ${many === 1 ? "person" : "people"}: ${this.words(poses, tracks)}`);
  }

  bar_of(pen, poses, id, rows, top, look) {
    pen.globalAlpha = look.hidden.has(id) ? 0.25 : look.chosen !== null && look.chosen !== id ? 0.5 : 1;
    pen.fillStyle = this.ink;
    pen.textAlign = "right";
    pen.fillText(String(id), 34, top + ROW / 2);
    pen.fillStyle = colour(id);
    for (let from = 0; from < rows.length;) {
      let to = from;
      while (rows[to + 1] === rows[to] + 1) to += 1;
      const left = this.x(poses.times.data[rows[from]]);
      const width = Math.max(2, this.x(poses.times.data[rows[to]] + poses.step) - left);
      pen.beginPath();
      pen.roundRect(left, top + 3, width, ROW - 6, Math.min(4, width / 2));
      pen.fill();
      from = to + 1;
    }
    pen.globalAlpha = 1;
  }

  /** The same in words, for the first people. */
  words(poses, tracks) {
    const time = (row) => poses.times.data[row].toFixed(1);
    return this.ids.slice(0, 20).map((id) => {
      const { rows } = tracks.get(id);
      return `${id} from ${time(rows[0])} to ${time(rows[rows.length - 1])} s`;
    }).join(", ");
  }
}
