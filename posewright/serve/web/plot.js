// A joint's x, y or speed over time, a line for each person.

import { Chart, nice } from "./chart.js";
import { $, el } from "./dom.js";
import { colour } from "./poses.js";

const HEIGHT = 190;
const FOOT = 22;

export class Plot extends Chart {
  constructor(canvas, head, seek) {
    super(canvas, head, seek);
    for (const id of ["plot-joint", "plot-what"]) {
      $(id).onchange = () => this.poses && this.show(this.poses, this.span, this.look);
    }
  }

  /** Offer the joints of a skeleton; the right wrist first, which moves most. */
  joints(poses) {
    const options = poses.joints.map((name, joint) => el("option", { value: joint }, name.replaceAll("_", " ")));
    $("plot-joint").replaceChildren(...options);
    $("plot-joint").value = Math.max(0, poses.joints.indexOf("right_wrist"));
  }

  show(poses, span, look) {
    [this.poses, this.span, this.look] = [poses, span, look];
    const lines = this.lines(Number($("plot-joint").value), $("plot-what").value);
    const pen = this.begin(HEIGHT);
    this.axis(pen);
    const [low, high] = this.scale(pen, lines);
    const y = (value) => (HEIGHT - FOOT) - (value - low) / (high - low) * (HEIGHT - FOOT - 8);
    for (const { id, pieces } of lines) this.line(pen, id, pieces, y);
    const what = `${$("plot-what").value} of the ${$("plot-joint").selectedOptions[0]?.textContent}`;
    this.canvas.setAttribute("aria-label", `Plot of ${what} over time, from ${Math.round(low)} to ${Math.round(high)}`);
  }

  /** Return the lines of those who are shown: pieces without holes, of [time, value]. */
  lines(joint, what) {
    const { poses, look } = this;
    const shown = [...poses.tracks()].filter(([id]) => !look.hidden.has(id));
    return shown.map(([id, track]) => ({ id, pieces: this.pieces(track, joint, what) }));
  }

  pieces({ rows, people }, joint, what) {
    const { poses, look } = this;
    const pieces = [];
    let [piece, last, before] = [null, -2, null];
    people.forEach((person, number) => {
      const [x, y, score] = poses.joint(person, joint);
      const [row, time] = [rows[number], poses.times.data[rows[number]]];
      if (!(score >= look.least && score > 0)) return;
      if (row !== last + 1) {
        [piece, before] = [[], null];
        pieces.push(piece);
      }
      if (what !== "speed") piece.push([time, what === "x" ? x : y]);
      else if (before) piece.push([time, Math.hypot(x - before[0], y - before[1]) / (time - before[2] || poses.step)]);
      [last, before] = [row, [x, y, time]];
    });
    return pieces;
  }

  /** Draw the axis of values; return its ends. */
  scale(pen, lines) {
    let [low, high] = [Infinity, -Infinity];
    for (const { pieces } of lines) for (const piece of pieces) for (const [, value] of piece) {
      [low, high] = [Math.min(low, value), Math.max(high, value)];
    }
    if (!(high > low)) [low, high] = Number.isFinite(low) ? [low - 1, low + 1] : [0, 1];
    const step = nice((high - low) / 4);
    pen.textAlign = "right";
    for (let value = Math.ceil(low / step) * step; value <= high; value += step) {
      const y = (HEIGHT - FOOT) - (value - low) / (high - low) * (HEIGHT - FOOT - 8);
      pen.fillStyle = this.faint;
      pen.fillRect(this.x(this.span[0]), Math.round(y), this.width, 1);
      pen.fillStyle = this.ink;
      pen.fillText(String(Number(value.toFixed(2))), 38, Math.max(7, y));
    }
    return [low, high];
  }

  line(pen, id, pieces, y) {
    const { chosen } = this.look;
    pen.globalAlpha = chosen === null || chosen === id ? 1 : 0.3;
    [pen.strokeStyle, pen.lineJoin, pen.lineWidth] = [colour(id), "round", chosen === id ? 2.5 : 1.75];
    pen.beginPath();
    for (const piece of pieces) {
      piece.forEach(([time, value], number) => pen[number ? "lineTo" : "moveTo"](this.x(time), y(value)));
    }
    pen.stroke();
    pen.globalAlpha = 1;
  }
}
