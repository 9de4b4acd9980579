// The poses of an image or a sequence, in flat arrays: a video of minutes holds many people.

import { lines } from "./api.js";

/** An array of numbers that grows. */
class Numbers {
  constructor(kind) {
    this.kind = kind;
    this.data = new kind(1024);
    this.length = 0;
  }
  push(...values) {
    if (this.length + values.length > this.data.length) {
      const larger = new this.kind(2 * this.data.length + values.length);
      larger.set(this.data);
      this.data = larger;
    }
    this.data.set(values, this.length);
    this.length += values.length;
  }
}

/** Rows with their people.  A person is a number; so is a row. */
export class Poses {
  constructor(header) {
    const { joints, links } = header.skeleton;
    this.header = header;
    this.joints = joints;
    this.links = links;
    this.size = [0, 0];
    this.times = new Numbers(Float64Array);
    this.frames = new Numbers(Int32Array);
    this.first = new Numbers(Int32Array); // of a row: its first person; one more at the end
    this.first.push(0);
    this.ids = new Numbers(Int32Array);
    this.boxes = new Numbers(Float32Array); // x1, y1, x2, y2, score
    this.points = new Numbers(Float32Array); // x, y, score of each joint
    this.messages = new Map(); // of rows that could not be read
  }

  get length() { return this.times.length; }

  /** Add a row of poses.jsonl; people without identity are called by their place, from 1. */
  add(row) {
    if (row.size[0]) this.size = row.size;
    if (row.status !== "ok") this.messages.set(this.length, row.message || row.status);
    this.times.push(row.time);
    this.frames.push(row.frame);
    row.people.forEach((person, place) => {
      const none = this.joints.flatMap(() => [NaN, NaN, 0]);
      const given = person.keypoints.flat().map((value) => value ?? NaN);
      this.ids.push(person.id < 0 ? place + 1 : person.id);
      this.boxes.push(...person.box, person.box_score);
      this.points.push(...(given.length === none.length ? given : none));
    });
    this.first.push(this.ids.length);
  }

  static of(row) {
    const poses = new Poses(row.header);
    poses.add(row);
    return poses;
  }

  /** Read a poses.jsonl as it arrives; an Error for one with two skeletons. */
  static async read(answer) {
    let poses = null;
    for await (const text of lines(answer)) {
      if (!text) continue;
      const row = JSON.parse(text);
      if (!row.format) poses.add(row);
      else if (!poses) poses = new Poses(row);
      else if (row.skeleton.joints.length !== poses.joints.length) {
        throw new Error("these results hold two skeletons; the page shows one at a time");
      }
    }
    if (!poses) throw new Error("these results are empty");
    poses.settle();
    return poses;
  }

  /** Give rows whose times do not rise, as those of images, ten to a second. */
  settle() {
    const times = this.times.data.subarray(0, this.length);
    if (times.some((time, row) => row && time <= times[row - 1])) times.forEach((_, row) => { times[row] = row / 10; });
  }

  /** Return the numbers of the people of a row. */
  people(row) {
    if (row < 0 || row >= this.length) return [];
    const [from, to] = [this.first.data[row], this.first.data[row + 1]];
    return Array.from({ length: to - from }, (_, number) => from + number);
  }

  /** Return the row that is shown at a time: the last that has begun; -1 outside of the rows. */
  at(time) {
    const times = this.times.data;
    let [low, high] = [0, this.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] <= time + 1e-3) low = middle + 1;
      else high = middle;
    }
    const row = low - 1;
    return row >= 0 && time - times[row] > 2.5 * this.step ? -1 : row;
  }

  /** Seconds from one row to the next. */
  get step() {
    const count = this.length;
    return count > 1 ? (this.times.data[count - 1] - this.times.data[0]) / (count - 1) : 0.04;
  }

  box(person) { return this.boxes.data.subarray(5 * person, 5 * person + 5); }
  id(person) { return this.ids.data[person]; }
  joint(person, joint) {
    const at = 3 * (person * this.joints.length + joint);
    return this.points.data.subarray(at, at + 3);
  }

  /** Return, by identity, its rows and its people; computed once. */
  tracks() {
    if (this.known) return this.known;
    this.known = new Map();
    for (let row = 0; row < this.length; row++) {
      for (let person = this.first.data[row]; person < this.first.data[row + 1]; person++) {
        const id = this.id(person);
        if (!this.known.has(id)) this.known.set(id, { rows: [], people: [] });
        const track = this.known.get(id);
        track.rows.push(row);
        track.people.push(person);
      }
    }
    return this.known;
  }
}

const COLOURS = ["#4cc9f0", "#ff9f1c", "#a7e245", "#ff5fa2", "#ffd60a", "#b79cff", "#2ed3c0", "#ff7b6b", "#8fd3ff", "#f0b3ff"];
export const colour = (id) => COLOURS[(id > 0 ? id - 1 : 0) % COLOURS.length];
