// The picture or video with its people on a canvas above it.

import { colour } from "./poses.js";

/** Draws one row of poses over an element of the same shape. */
export class Stage {
  constructor(frame, canvas) {
    [this.frame, this.canvas] = [frame, canvas];
    this.look = { least: 0.2, skeletons: true, boxes: false, ids: true, hidden: new Set(), chosen: null };
    this.clear();
    new ResizeObserver(() => this.draw()).observe(frame);
  }

  clear() {
    [this.poses, this.row, this.size] = [null, -1, [4, 3]];
    this.draw();
  }

  /** Give the frame the shape of the picture, so that the canvas covers it exactly. */
  shape(width, height) {
    this.size = [width, height];
    this.frame.style.aspectRatio = `${width} / ${height}`;
    this.frame.style.setProperty("--ratio", width / height);
    this.draw();
  }

  show(poses, row) {
    [this.poses, this.row] = [poses, row];
    this.draw();
  }

  draw() {
    const { canvas, frame } = this;
    const dots = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(frame.clientWidth * dots), Math.round(frame.clientHeight * dots)];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, width, height);
    if (!this.poses || !width) return;
    const size = this.poses.size[0] ? this.poses.size : this.size;
    this.scale = [width / size[0], height / size[1]];
    for (const person of this.shown()) this.person(pen, person, dots);
  }

  /** Return the people that are to be seen now. */
  shown() {
    if (!this.poses) return [];
    return this.poses.people(this.row).filter((person) => !this.look.hidden.has(this.poses.id(person)));
  }

  person(pen, person, dots) {
    const id = this.poses.id(person);
    const [sx, sy] = this.scale;
    const [x1, y1, x2, y2] = this.poses.box(person);
    const tall = Math.max((y2 - y1) * sy, (x2 - x1) * sx);
    const thick = Math.min(7 * dots, Math.max(1.5 * dots, tall * 0.013)) * (this.look.chosen === id ? 1.4 : 1);
    if (this.look.boxes) this.box(pen, [x1 * sx, y1 * sy, (x2 - x1) * sx, (y2 - y1) * sy], colour(id), dots);
    if (this.look.skeletons) this.skeleton(pen, person, colour(id), thick);
    if (this.look.ids) this.tag(pen, String(id), ...this.top(person, tall, dots), colour(id), dots);
  }

  /** Return where the number of a person stands: above the highest joint, else above the box. */
  top(person, tall, dots) {
    const places = this.poses.joints.map((_, joint) => this.place(person, joint)).filter(Boolean);
    const [x1, y1, x2] = this.poses.box(person);
    if (!this.look.skeletons || !places.length) return [(x1 + x2) / 2 * this.scale[0], y1 * this.scale[1]];
    const [x, y] = places.reduce((best, place) => (place[1] < best[1] ? place : best));
    return [x, y - Math.max(10 * dots, tall * 0.05)];
  }

  box(pen, [x, y, width, height], ink, dots) {
    pen.lineWidth = 2 * dots;
    pen.strokeStyle = ink;
    pen.beginPath();
    pen.roundRect(x, y, width, height, 6 * dots);
    pen.stroke();
  }

  /** Return the place of a joint on the canvas; null where it is below the score. */
  place(person, joint) {
    const [x, y, score] = this.poses.joint(person, joint);
    return score >= this.look.least && score > 0 && Number.isFinite(x) ? [x * this.scale[0], y * this.scale[1]] : null;
  }

  skeleton(pen, person, ink, thick) {
    const places = this.poses.joints.map((_, joint) => this.place(person, joint));
    pen.lineCap = pen.lineJoin = "round";
    for (const [style, width] of [["rgb(0 0 0 / 55%)", thick + Math.max(2, thick * 0.6)], [ink, thick]]) {
      [pen.strokeStyle, pen.lineWidth] = [style, width];
      pen.beginPath();
      for (const [a, b] of this.poses.links) {
        if (!places[a] || !places[b]) continue;
        pen.moveTo(...places[a]);
        pen.lineTo(...places[b]);
      }
      pen.stroke();
    }
    for (const place of places.filter(Boolean)) {
      pen.beginPath();
      pen.arc(...place, thick * 0.85, 0, 2 * Math.PI);
      [pen.fillStyle, pen.strokeStyle, pen.lineWidth] = ["#fff", ink, thick * 0.5];
      pen.fill();
      pen.stroke();
    }
  }

  tag(pen, text, x, y, ink, dots) {
    pen.font = `600 ${12 * dots}px system-ui, sans-serif`;
    pen.textBaseline = "middle";
    const [width, height] = [pen.measureText(text).width + 12 * dots, 20 * dots];
    const left = Math.max(0, Math.min(x - width / 2, this.canvas.width - width));
    const top = Math.max(0, y - height - 2 * dots);
    pen.fillStyle = ink;
    pen.beginPath();
    pen.roundRect(left, top, width, height, 6 * dots);
    pen.fill();
    pen.fillStyle = "#10141d";
    pen.fillText(text, left + 6 * dots, top + height / 2 + dots * 0.5);
  }

  /** Return the identity at a place of the page; null where nobody is. */
  hit(event) {
    const area = this.canvas.getBoundingClientRect();
    const x = (event.clientX - area.left) * this.canvas.width / area.width / this.scale?.[0];
    const y = (event.clientY - area.top) * this.canvas.height / area.height / this.scale?.[1];
    const found = this.shown().filter((person) => {
      const [x1, y1, x2, y2] = this.poses.box(person);
      return x >= x1 && x <= x2 && y >= y1 && y <= y2;
    });
    return found.length ? this.poses.id(found[0]) : null;
  }

  /** Say in words what is drawn. */
  describe(name) {
    const people = this.shown();
    const list = people.map((person) => `${this.poses.id(person)} (score ${this.poses.box(person)[4].toFixed(2)})`);
    return `${name}: ${people.length} ${people.length === 1 ? "person" : "people"}${list.length ? `: ${list.join(", ")}` : ""}`;
  }
}
