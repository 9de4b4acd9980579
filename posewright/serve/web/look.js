// The view "Look": pictures, a video or the results of a job, with their people.

import { ended, json, network, post, request, upload } from "./api.js";
import { Album } from "./album.js";
import { $, say } from "./dom.js";
import { dropped, sorted } from "./drop.js";
import { Files } from "./files.js";
import { People } from "./people.js";
import { Player } from "./player.js";
import { Plot } from "./plot.js";
import { Poses } from "./poses.js";
import { Stage } from "./stage.js";
import { TimeLine } from "./timeline.js";

export class Look {
  constructor() {
    this.stage = new Stage($("frame"), $("canvas"));
    this.people = new People(this.stage, () => this.refresh());
    this.player = new Player((row) => this.turned(row), () => this.tell());
    const seek = (time) => this.player.seek(time);
    this.line = new TimeLine($("line"), $("line-head"), seek, (id) => this.people.choose(id));
    this.plot = new Plot($("plot"), $("plot-head"), seek);
    this.files = new Files();
    this.album = new Album((poses, picture) => this.picture(poses, picture));
    this.stopper = new AbortController();
    this.listen();
  }

  listen() {
    dropped($("look"), $("drop"), (files) => this.open(files));
    $("choose").onclick = () => $("files").click();
    $("choose-folder").onclick = () => $("folder").click();
    for (const id of ["files", "folder"]) {
      $(id).onchange = (event) => {
        const files = sorted([...event.target.files]);
        event.target.value = "";
        this.open(files);
      };
    }
    $("again").onclick = () => this.close();
    $("stop").onclick = () => this.stopper.abort();
    $("frame").onclick = (event) => this.people.choose(this.stage.hit(event));
    $("frame").onkeydown = (event) => this.key(event);
    new ResizeObserver(() => this.lines()).observe($("over-time"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.lines());
  }

  /** Begin anew with nothing shown. */
  reset() {
    this.stopper.abort();
    this.stopper = new AbortController();
    this.player.close();
    this.album.close();
    this.stage.clear();
    this.people.reset();
    for (const id of ["strip", "player", "over-time", "work", "picture", "video"]) $(id).hidden = true;
    say("");
  }

  close() {
    this.reset();
    $("viewer").hidden = true;
    $("drop").hidden = false;
    $("choose").focus();
  }

  /** Show what was chosen: a video, or pictures. */
  async open(files) {
    const videos = files.filter((file) => isVideo(file));
    const pictures = files.filter((file) => file.type.startsWith("image/"));
    if (!videos.length && !pictures.length) {
      if (files.length) say("Neither images nor a video were among these files.", true);
      return;
    }
    this.reset();
    $("drop").hidden = true;
    $("viewer").hidden = false;
    if (videos.length) await this.video(videos[0], videos.length + pictures.length - 1);
    else {
      this.files.of(pictures, {});
      this.album.open(pictures, this.stopper.signal);
    }
  }

  /** Show a picture of the album; its people when they are known. */
  picture(poses, { name, element }) {
    $("name").textContent = name;
    if (element.naturalWidth) this.stage.shape(element.naturalWidth, element.naturalHeight);
    this.poses = poses;
    if (poses?.size[0]) this.stage.shape(...poses.size);
    this.stage.show(poses, 0);
    this.people.list(poses, 0);
    this.tell();
  }

  /** Upload a video and follow the job that finds its people. */
  async video(file, others) {
    const signal = this.stopper.signal;
    $("name").textContent = file.name;
    if (others) say(`One video at a time: ${file.name} is shown, ${others} more are left out.`);
    const plays = await this.player.open(URL.createObjectURL(file), (w, h) => this.stage.shape(w, h));
    if (signal.aborted) return;
    const options = { track: "1" };
    this.files.of([file], options);
    const form = new FormData();
    form.append("kind", "predict");
    form.append("track", "1");
    form.append("save", plays ? "jsonl" : "jsonl,video");
    await this.work(async () => {
      form.append("model", await network()); // asks for a token before a long upload, not after it
      form.append("file", file, file.name);
      const job = await upload("v1/jobs", form, (share) => this.progress(share, `uploading ${Math.round(100 * share)} %`), signal);
      const cancel = () => post(`v1/jobs/${job.id}/cancel`).catch(() => {}); // it may have ended
      signal.addEventListener("abort", cancel);
      this.progress(null, "waiting");
      const told = await ended(job.id, (data) => this.heard(data), signal);
      signal.removeEventListener("abort", cancel);
      await this.results(told, plays, signal);
    }, signal);
  }

  /** Show the results of a job that was made before. */
  async openJob(id) {
    this.reset();
    const signal = this.stopper.signal;
    $("drop").hidden = true;
    $("viewer").hidden = false;
    await this.work(async () => {
      const told = await json(`v1/jobs/${id}`, { signal });
      $("name").textContent = told.inputs.join(", ") || told.id;
      this.files.of([], {});
      await this.results(told, false, signal);
    }, signal);
  }

  /** Read the poses of a job; play what was drawn where the browser cannot play the video itself. */
  async results(told, plays, signal) {
    this.files.show(told.files);
    const file = told.files.find((each) => each.name.endsWith("poses.jsonl"));
    if (!file) throw new Error("this job wrote no poses.jsonl, which the page shows");
    this.progress(null, "reading the poses");
    const poses = await Poses.read(await request(file.href, { signal }));
    if (!plays) await this.drawn(told, poses);
    this.poses = poses;
    $("player").hidden = $("over-time").hidden = false;
    this.people.list(poses, -1);
    this.plot.joints(poses);
    this.player.follow(poses);
    this.lines();
    const people = poses.tracks().size;
    say(`${poses.length} frames with ${people} ${people === 1 ? "person" : "people"}.`);
  }

  async drawn(told, poses) {
    const film = told.files.find((each) => each.name.endsWith(".mp4"));
    const open = film && await this.player.open(film.href, (w, h) => this.stage.shape(w, h));
    if (open) {
      // its skeletons are in the picture already; a second set would hide the first
      $("skeletons").checked = $("ids").checked = false;
      this.people.looked();
    } else {
      if (poses.size[0]) this.stage.shape(...poses.size);
      this.player.blank(poses);
    }
  }

  /** Do work with its progress shown; tell of a failure in one line. */
  async work(steps, signal) {
    $("work").hidden = false;
    try {
      await steps();
    } catch (error) {
      if (!signal.aborted) say(error.message, true);
      else if (signal === this.stopper.signal) say("Stopped.");
    } finally {
      if (signal === this.stopper.signal) $("work").hidden = true;
    }
  }

  progress(share, told) {
    if (share === null) $("progress").removeAttribute("value");
    else $("progress").value = share;
    $("progress-told").textContent = told;
  }

  heard({ done, total, people }) {
    this.progress(total ? done / total : null, `frame ${done}${total ? ` of ${total}` : ""}, ${people ?? 0} poses`);
  }

  /** The player shows another row. */
  turned(row) {
    this.stage.show(this.poses, row);
    this.people.list(this.poses, row);
    const time = this.player.time;
    this.line.head(time);
    this.plot.head(time);
  }

  /** Something that is shown has changed. */
  refresh() {
    this.stage.draw();
    this.lines();
    this.tell();
  }

  lines() {
    if (!this.poses || $("over-time").hidden) return;
    this.line.show(this.poses, this.player.span, this.stage.look);
    this.plot.show(this.poses, this.player.span, this.stage.look);
    this.line.head(this.player.time);
    this.plot.head(this.player.time);
  }

  tell() {
    $("canvas").setAttribute("aria-label", this.stage.describe($("name").textContent));
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step && event.key !== " ") return;
    event.preventDefault();
    if ($("player").hidden) this.album.step(step ?? 0);
    else if (step) this.player.step(step * (event.shiftKey ? 10 : 1));
    else this.player.toggle();
  }
}

const isVideo = (file) => file.type.startsWith("video/") || /\.(mkv|avi|ts|flv|wmv|mpe?g|m4v|mov|3gp)$/i.test(file.name);
