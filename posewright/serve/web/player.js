// A video, or a clock in its place, and the row of poses that belongs to its frame.

import { $, clock } from "./dom.js";

export class Player {
  constructor(turned, rested) {
    [this.turned, this.rested] = [turned, rested];
    this.video = $("video");
    this.close();
    $("play").onclick = () => this.toggle();
    $("back").onclick = () => this.step(-1);
    $("forth").onclick = () => this.step(1);
    $("seek").oninput = (event) => this.scrub(Number(event.target.value));
    $("rate").onchange = () => this.rate();
    for (const name of ["play", "pause", "ended"]) this.video.addEventListener(name, () => this.button());
    for (const name of ["seeked", "loadeddata"]) this.video.addEventListener(name, () => this.frame(this.video.currentTime));
    const frame = (_, data) => {
      this.frame(data.mediaTime);
      this.video.requestVideoFrameCallback(frame);
    };
    this.video.requestVideoFrameCallback(frame);
  }

  close() {
    if (this.address?.startsWith("blob:")) URL.revokeObjectURL(this.address);
    cancelAnimationFrame(this.tick);
    [this.address, this.poses, this.still, this.row, this.time] = [null, null, null, -1, 0];
    this.video.removeAttribute("src");
    this.video.load();
  }

  /** Load a video; return whether the browser can play it. */
  open(address, shape) {
    if (this.address?.startsWith("blob:")) URL.revokeObjectURL(this.address);
    this.address = address;
    const { video } = this;
    video.hidden = false;
    return new Promise((done) => {
      const plays = () => {
        const seen = video.videoWidth > 0;
        video.hidden = !seen;
        if (seen) shape(video.videoWidth, video.videoHeight);
        done(seen);
      };
      video.onloadeddata = plays;
      video.onerror = () => {
        video.hidden = true;
        done(false);
      };
      video.src = address;
    });
  }

  /** Play poses without a picture: time passes by a clock. */
  blank(poses) {
    this.video.hidden = true;
    this.still = { playing: false, end: poses.times.data[poses.length - 1] ?? 0 };
  }

  /** Show the rows of these poses from now on. */
  follow(poses) {
    this.poses = poses;
    [$("seek").min, $("seek").max] = this.span;
    this.frame(this.still ? this.span[0] : this.video.currentTime, true);
  }

  /** The first and the last time in seconds. */
  get span() {
    const { poses } = this;
    const end = poses?.length ? poses.times.data[poses.length - 1] : 0;
    return [0, Math.max(end, this.still ? 0 : this.video.duration || 0, 0.04)];
  }

  /** A frame is on the screen: draw what belongs to it. */
  frame(time, again = false) {
    if (!this.poses) return;
    this.time = time;
    const row = this.poses.at(time);
    $("seek").value = time;
    $("time").textContent = clock(time);
    const number = row < 0 ? "" : `, frame ${this.poses.frames.data[row]}`;
    $("seek").setAttribute("aria-valuetext", `${time.toFixed(2)} seconds${number}`);
    if (row !== this.row || again) {
      this.row = row;
      this.turned(row);
    }
    if (this.begun) {
      performance.measure("scrub", { start: this.begun, end: performance.now() });
      this.begun = 0;
    }
    if (!this.playing) this.rested();
  }

  get playing() { return this.still ? this.still.playing : !this.video.paused; }

  toggle() {
    if (!this.still) {
      if (this.video.paused) this.video.play().catch(() => {});
      else this.video.pause();
      return;
    }
    this.still.playing = !this.still.playing;
    if (this.still.playing) this.run(performance.now(), this.time >= this.still.end ? 0 : this.time);
    this.button();
  }

  run(since, from) {
    this.tick = requestAnimationFrame((now) => {
      if (!this.still?.playing) return;
      const time = from + (now - since) / 1000 * Number($("rate").value);
      if (time >= this.still.end) this.still.playing = false;
      this.frame(Math.min(time, this.still.end));
      if (this.still.playing) this.run(since, from);
      else this.button();
    });
  }

  rate() {
    this.video.playbackRate = Number($("rate").value);
    if (this.still?.playing) {
      cancelAnimationFrame(this.tick);
      this.run(performance.now(), this.time);
    }
  }

  button() {
    const { playing } = this;
    $("play").textContent = playing ? "❚❚" : "▶";
    $("play").setAttribute("aria-label", playing ? "Pause" : "Play");
  }

  scrub(time) {
    this.begun ||= performance.now();
    this.seek(time);
  }

  /** Go to a time; the row follows when the frame is there. */
  seek(time) {
    const [begin, end] = this.span;
    const to = Math.max(begin, Math.min(end, time));
    if (this.still) {
      cancelAnimationFrame(this.tick);
      this.frame(to);
      if (this.still.playing) this.run(performance.now(), to);
    } else this.video.currentTime = to;
  }

  /** Go some rows on or back; half a step into the frame, so that rounding does not miss it. */
  step(count) {
    if (!this.poses) return;
    if (this.playing) this.toggle();
    const at = Math.max(0, this.poses.at(this.time));
    const row = Math.max(0, Math.min(this.poses.length - 1, at + count));
    const half = this.still ? 0 : Math.min(this.poses.step / 2, 0.01);
    this.seek(this.poses.times.data[row] + half);
  }
}
